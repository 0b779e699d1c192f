// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Peers
import ServiceLifecycle
import Storage

/// Serves `/metrics`, `/healthz` and `/readyz`.
///
/// Healthy: the process works and its store can be written; restart it where not. Ready: the mounts serve, so jobs may
/// come. Neither depends on peers or links: a cut line must not drain a site.
struct HealthServer: Service {
    let listen: Endpoint
    let parts: AgentParts
    let exporter: PrometheusExporter
    let logger: Logger

    func run() async throws {
        do {
            try await PortWait(limit: PortWait.predecessorLimit).run(serve)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw AgentError.port(listen, of: "telemetry", field: "telemetry.listen", error)
        }
    }

    private func serve() async throws {
        // What Hummingbird would say of its end comes out of `run`, or is no news.
        var quiet = logger
        quiet.logLevel = .critical
        let application = Application(
            responder: CallbackResponder { (request: Request, _: BasicRequestContext) in await respond(to: request) },
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: Int(listen.port)),
                serverName: "larder"
            ),
            logger: quiet
        )
        try await application.run()
    }

    @Sendable
    private func respond(to request: Request) async -> Response {
        guard request.method == .get || request.method == .head else {
            return text(.methodNotAllowed, "only GET\n")
        }
        switch request.uri.path {
        case "/metrics":
            return text(.ok, exporter.text(), type: "text/plain; version=0.0.4; charset=utf-8")
        case "/healthz":
            let directory = parts.store.directory
            do {
                let fault = try await NIOThreadPool.singleton.runIfActive { StoreProbe.fault(of: directory) }
                return report(fault.map { [$0] } ?? [])
            } catch {
                return report(["the process ends"])
            }
        case "/readyz":
            return report(parts.unreadyReasons)
        default:
            return text(.notFound, "there are /metrics, /healthz and /readyz\n")
        }
    }

    private func report(_ faults: [String]) -> Response {
        faults.isEmpty ? text(.ok, "ok\n") : text(.serviceUnavailable, faults.joined(separator: "\n") + "\n")
    }

    private func text(
        _ status: HTTPResponse.Status,
        _ text: String,
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status,
            headers: [.contentType: type],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}

/// Whether a store's directory takes a write.
enum StoreProbe {
    /// A file without a name: the macro is an expression, which Swift does not import.
    private static let temporaryFile = O_DIRECTORY | 0o20_000_000

    /// What is wrong; nil where nothing is. A full disk is not wrong: reads go on, and a restart would not help.
    static func fault(of directory: String) -> String? {
        let descriptor = open(directory, temporaryFile | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return fault(directory) }
        defer { _ = close(descriptor) }
        var byte: UInt8 = 0
        return write(descriptor, &byte, 1) == 1 ? nil : fault(directory)
    }

    private static func fault(_ directory: String) -> String? {
        let reason = errno
        // EOPNOTSUPP: a file system without nameless files tells nothing either way.
        guard ![ENOSPC, EDQUOT, EOPNOTSUPP].contains(reason) else { return nil }
        return "the store '\(directory)' cannot be written: \(String(cString: strerror(reason)))"
    }
}
