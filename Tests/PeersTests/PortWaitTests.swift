// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers
import NIOCore
import Peers
import Testing

@Suite(.timeLimit(.minutes(5))) struct PortWaitTests {
    /// A loaded machine must not decide.
    private static let endless = Duration.seconds(86_400)

    private let taken = IOError(errnoCode: EADDRINUSE, reason: "bind")

    @Test("P6: a port that is taken is waited for, and that is told once")
    func waits() async throws {
        let (tries, told) = (NIOLockedValueBox(0), NIOLockedValueBox(0))
        try await PortWait(limit: PortWaitTests.endless, onWait: { told.withLockedValue { $0 += 1 } }).run {
            let number = tries.withLockedValue { tries in
                tries += 1
                return tries
            }
            if number < 4 { throw taken }
        }
        #expect(tries.withLockedValue { $0 } == 4 && told.withLockedValue { $0 } == 1)
    }

    @Test("P6: one that stays taken, and any other failure, is an error")
    func fails() async throws {
        let first = await #expect(throws: IOError.self) { try await PortWait(limit: .zero).run { throw taken } }
        #expect(first?.errnoCode == EADDRINUSE)
        let other = await #expect(throws: IOError.self) {
            try await PortWait(limit: PortWaitTests.endless).run { throw IOError(errnoCode: EACCES, reason: "bind") }
        }
        #expect(other?.errnoCode == EACCES)
    }

    @Test("P6: an agent that starts before its predecessor has left serves at the same port once it has")
    func successor() async throws {
        let predecessor = try Agent("predecessor") { _ in }
        let first = Task { try await predecessor.service.run() }
        let port = try await predecessor.service.port()
        let successor = try Agent("successor") {
            $0.listen = PeerAddress(host: "127.0.0.1", port: port)
            $0.limits.bind = PortWaitTests.endless
        }
        let second = Task { try await successor.service.run() }
        first.cancel()
        #expect(try await successor.service.port() == port)
        second.cancel()
        _ = await (first.result, second.result)
    }

    @Test("P6: a port that somebody else keeps is an error that says so")
    func kept() async throws {
        let holder = try Agent("holder") { _ in }
        try await running([holder]) {
            let port = try await holder.service.port()
            let other = try Agent("other") {
                $0.listen = PeerAddress(host: "127.0.0.1", port: port)
                $0.limits.bind = .zero
            }
            let error = await #expect(throws: IOError.self) { try await other.service.run() }
            #expect(error?.errnoCode == EADDRINUSE)
        }
    }
}
