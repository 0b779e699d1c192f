// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Peers

/// `larder pki init /root/pki && larder pki issue /root/pki --site basement --agent base-1 --namespace ci --out tls`
struct PKIVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pki",
        abstract: "A small certificate authority, for those without one.",
        discussion: """
            Agents prove with certificates who they are and what they may. 'init' makes an authority, 'issue' a \
            certificate and key for an agent, 'show' says what is in a file. Two authorities trust each other when \
            the certificates of both are in 'tls.trust' of all agents.
            """,
        subcommands: [Init.self, Issue.self, Show.self]
    )

    private static let day: TimeInterval = 86_400

    private static func end(after days: Int) throws -> Date {
        guard (1...36_500).contains(days) else { throw UsageError(message: "--days is 1 to 36500, and not \(days)") }
        return Date(timeIntervalSinceNow: TimeInterval(days) * day)
    }

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init",
            abstract: "Make an authority: DIR/ca.crt, for everybody, and DIR/ca.key, for nobody else."
        )

        @Argument(help: "A directory; made where it is missing.")
        var dir: String

        @Option(help: "The authority's name, for people.")
        var name = "larder"

        @Option(help: "How long it is good.")
        var days = 3650

        func run() throws {
            guard !name.isEmpty else { throw UsageError(message: "--name is empty") }
            let (authority, key) = try CertificateAuthority.make(
                name: name,
                from: Date(),
                to: try PKIVerb.end(after: days)
            )
            try NewFiles.write([("ca.key", key), ("ca.crt", authority.certificate)], in: dir)
            Output.line("larder: pki init: \(dir)/ca.crt and ca.key; keep the key off the nodes")
        }
    }

    struct Issue: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "issue",
            abstract: "Make a key and a certificate for an agent: OUT/tls.crt, OUT/tls.key, OUT/ca.crt.",
            discussion: "Without --namespace the agent may read and publish in every namespace."
        )

        @Argument(help: "The authority's directory.")
        var dir: String

        @Option(help: "The agent's site.")
        var site: String

        @Option(help: "The agent's name; '*' for any agent of the site.")
        var agent: String

        @Option(help: "NAMESPACE to read and publish in, NAMESPACE:ro to read; may be repeated.")
        var namespace: [String] = []

        @Option(help: "How long it is good.")
        var days = 365

        @Option(help: "A directory; made where it is missing.")
        var out: String

        func run() throws {
            var access: [String: Rights.Access] = namespace.isEmpty ? [Rights.everyNamespace: .publish] : [:]
            for text in namespace {
                let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                guard let rights = Rights.Access(rawValue: parts.count == 2 ? String(parts[1]) : "rw") else {
                    throw UsageError(message: "--namespace is NAME, NAME:ro or NAME:rw, and not '\(text)'")
                }
                access[String(parts[0])] = rights
            }
            let authority = try Authority(site: site, agent: agent, rights: Rights(access))
            let issuer = try CertificateAuthority(
                certificate: try NewFiles.read("\(dir)/ca.crt"),
                key: try NewFiles.read("\(dir)/ca.key")
            )
            let issued = try issuer.issue(authority, from: Date(), to: try PKIVerb.end(after: days))
            try NewFiles.write(
                [("tls.key", issued.key), ("tls.crt", issued.certificate), ("ca.crt", issuer.certificate)],
                in: out
            )
            Output.line("larder: pki issue: \(authority), \(authority.rights), \(days) days: \(out)/tls.crt")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Show what certificates say, and which of the others signed them."
        )

        @Argument(help: "Files of PEM certificates.")
        var files: [String]

        @Flag(help: "Results as JSON.")
        var json = false

        private struct Shown: Encodable {
            let file: String
            let subject: String
            let issuer: String
            let isAuthority: Bool
            let site: String?
            let agent: String?
            let rights: [String: String]?
            let notBefore: String
            let notAfter: String
            let isValidNow: Bool
            let signedBy: String?
            let problem: String?
        }

        func run() throws {
            var all: [(file: String, facts: CertificateFacts)] = []
            for file in files {
                let text = try NewFiles.read(file)
                do throws(PeersError) {
                    all += try CertificateFacts.read(pem: text).map { (file, $0) }
                } catch { throw UsageError(message: "'\(file)': \(error.message)") }
            }
            let shown = all.map { file, facts in
                show(facts, file, signer: all.first { facts.isSigned(by: $0.facts) }?.file)
            }
            if json { return try Output.json(shown) }
            for one in shown { Output.table(rows(one)) }
        }

        private func show(_ facts: CertificateFacts, _ file: String, signer: String?) -> Shown {
            let authority = facts.authority
            let now = Date()
            return Shown(
                file: file,
                subject: facts.subject,
                issuer: facts.issuer,
                isAuthority: facts.isAuthority,
                site: authority?.site,
                agent: authority?.agent,
                rights: authority?.rights.access.mapValues(\.rawValue),
                notBefore: facts.begin.formatted(.iso8601),
                notAfter: facts.end.formatted(.iso8601),
                isValidNow: facts.begin <= now && now < facts.end,
                signedBy: signer,
                problem: facts.problem
            )
        }

        private func rows(_ shown: Shown) -> [[String]] {
            var rows = [["file", shown.file], ["subject", shown.subject]]
            if shown.isAuthority { rows.append(["kind", "an authority"]) }
            if let site = shown.site, let agent = shown.agent {
                rows.append(["site", site])
                rows.append(["agent", agent == Authority.everyAgent ? "any of the site" : agent])
                let rights = (shown.rights ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
                rows.append(["rights", rights.isEmpty ? "none" : rights.joined(separator: ", ")])
            }
            if let problem = shown.problem { rows.append(["problem", problem]) }
            rows.append(["from", shown.notBefore])
            rows.append(["until", shown.notAfter + (shown.isValidNow ? "" : "  NOT VALID NOW")])
            let signer = shown.signedBy.map { "in \($0)" } ?? "in none of these files"
            rows.append(["signed by", "\(shown.issuer), \(signer)"])
            return rows
        }
    }
}
