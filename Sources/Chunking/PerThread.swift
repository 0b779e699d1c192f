// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One object for each thread that asks, made when it first asks and released when the thread ends.
///
/// For contexts and buffers of hot paths: no allocation, no lock, and no parameter through five layers. Use the object
/// only within a synchronous call, since a task may go on on another thread after it was suspended.
public struct PerThread<Value: AnyObject>: Sendable {
    private let key: pthread_key_t
    private let make: @Sendable () -> Value

    /// Takes one of the process's 1024 keys for ever: for static properties, not for instances.
    public init(_ make: @escaping @Sendable () -> Value) {
        var key = pthread_key_t()
        let failure = pthread_key_create(&key) { pointer in
            if let pointer { Unmanaged<AnyObject>.fromOpaque(pointer).release() }
        }
        precondition(failure == 0, "the process has no pthread key left")
        self.key = key
        self.make = make
    }

    /// This thread's object.
    public var value: Value {
        // Safety: the slot holds what the line below put there, retained until the thread ends.
        if let pointer = pthread_getspecific(key) { return Unmanaged<Value>.fromOpaque(pointer).takeUnretainedValue() }
        let value = make()
        pthread_setspecific(key, Unmanaged.passRetained(value).toOpaque())
        return value
    }
}
