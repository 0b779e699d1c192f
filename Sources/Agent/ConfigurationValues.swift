// SPDX-License-Identifier: Apache-2.0

import Content
import Objects

// How the texts of single fields become values. Each says in one sentence what belongs there.

/// A name of a site or an agent: it is also a label of metrics and part of log lines.
func label(_ text: String) throws(AgentError) -> String {
    guard !text.isEmpty, text.utf8.count <= 63, text.utf8.allSatisfy({ isNameByte($0) || $0 == UInt8(ascii: ".") })
    else { throw AgentError(.value, "'\(text)' is not a name: 1 to 63 letters, digits, '.', '_' or '-'") }
    return text
}

func namespaceName(_ text: String) throws(AgentError) -> String {
    do throws(ContentError) {
        try Key.check(namespace: text)
    } catch {
        throw AgentError(.value, error.message)
    }
    return text
}

/// `namespace` or `namespace/dir…`, with or without a slash at its end.
func keyPrefix(_ text: String) throws(AgentError) -> String {
    let prefix = text.hasSuffix("/") ? String(text.dropLast()) : text
    do throws(ContentError) {
        // A directory is named like the keys below it.
        _ = try Key(prefix + "/x")
    } catch {
        throw AgentError(.value, "'\(text)' is no namespace and no directory in one: \(error.message)")
    }
    return prefix
}

func copyCount(_ text: String) throws(AgentError) -> UInt64 {
    try count(from: 1, to: UInt64(KeepingRule.copiesMax))(text)
}

func flag(_ text: String) throws(AgentError) -> Bool {
    guard let value = Bool(text) else { throw AgentError(.value, "'\(text)' is neither true nor false") }
    return value
}

func share(_ text: String) throws(AgentError) -> Percent {
    let share = try Percent(parsing: text)
    guard share < Percent(95) else { throw AgentError(.value, "'\(text)' leaves nothing: at most 95%") }
    return share
}

/// An address that is dialled, so that port 0 means nothing.
func remote(_ text: String) throws(AgentError) -> Endpoint {
    let endpoint = try Endpoint(parsing: text)
    guard endpoint.port != 0 else { throw AgentError(.value, "'\(text)' is not an address: a port is 1 to 65535") }
    return endpoint
}

func absolutePath(_ text: String) throws(AgentError) -> String {
    let components = text.split(separator: "/")
    guard text.hasPrefix("/"), !components.isEmpty, !components.contains(".."), !components.contains("."),
        !text.utf8.contains(0)
    else { throw AgentError(.value, "'\(text)' is not an absolute path without '.' and '..'") }
    return "/" + components.joined(separator: "/")
}

/// The most bytes of a Unix socket's path: `sun_path` without its NUL.
let socketPathByteCountMax = 107

func socketPath(_ text: String) throws(AgentError) -> String {
    let path = try absolutePath(text)
    guard path.utf8.count <= socketPathByteCountMax else {
        throw AgentError(.value, "'\(text)' is too long: a socket's path has at most \(socketPathByteCountMax) bytes")
    }
    return path
}

func identity(_ text: String) throws(AgentError) -> UInt32 {
    guard let id = UInt32(text), id != .max else {
        throw AgentError(.value, "'\(text)' is not a numeric user or group")
    }
    return id
}

func choice<T: RawRepresentable & CaseIterable>(_ text: String, _ type: T.Type) throws(AgentError) -> T
where T.RawValue == String {
    if let value = T(rawValue: text) { return value }
    let names = T.allCases.map(\.rawValue)
    let meant = suggestion(nearestName(to: text, among: names))
    throw AgentError(.value, "'\(text)' is none of \(names.joined(separator: ", "))\(meant)")
}

func size(from least: UInt64, to most: UInt64) -> (String) throws(AgentError) -> ByteSize {
    { (text: String) throws(AgentError) -> ByteSize in
        let size = try ByteSize(parsing: text)
        guard size.bytes >= least, size.bytes <= most else {
            throw AgentError(.value, "'\(text)' is not within \(ByteSize(bytes: least)) and \(ByteSize(bytes: most))")
        }
        return size
    }
}

func duration(from least: Duration, to most: Duration) -> (String) throws(AgentError) -> Duration {
    { (text: String) throws(AgentError) -> Duration in
        let duration = try Duration(parsing: text)
        guard duration >= least, duration <= most else {
            throw AgentError(.value, "'\(text)' is not within \(least.text) and \(most.text)")
        }
        return duration
    }
}

func count(from least: UInt64, to most: UInt64) -> (String) throws(AgentError) -> UInt64 {
    { (text: String) throws(AgentError) -> UInt64 in
        guard let count = UInt64(text), count >= least, count <= most else {
            throw AgentError(.value, "'\(text)' is not a number from \(least) to \(most)")
        }
        return count
    }
}
