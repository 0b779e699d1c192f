// SPDX-License-Identifier: Apache-2.0

/// A seam below the store for tests: asked before each operation on the disk, may make it fail.
///
/// A closure and not a protocol of file operations: where there is none, which is always but in tests, it costs a
/// comparison with nil, and the code under test is the code that runs.
public struct DiskFaults: Sendable {
    /// What is about to be done.
    public enum Operation: String, Sendable, CaseIterable {
        case open, read, write, sync, truncate, punch, rename, unlink, map
    }

    private let decide: @Sendable (Operation) -> Int32

    /// - Parameter decide: the errno with which to fail the operation, or 0; called on any thread.
    public init(_ decide: @escaping @Sendable (Operation) -> Int32) { self.decide = decide }

    func check(_ operation: Operation, _ path: String) throws(StorageError) {
        let number = decide(operation)
        guard number == 0 else { throw .system(number, operation.rawValue, path) }
    }
}
