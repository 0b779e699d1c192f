// SPDX-License-Identifier: Apache-2.0

public import CoreMetrics
import NIOConcurrencyHelpers

/// The back end of swift-metrics: keeps every metric and writes them all in Prometheus' text format, version 0.0.4.
///
/// `larder.peers.bytes` becomes `larder_peers_bytes_total` (counters), `…_seconds` (timers) or `larder_peers_bytes`.
/// Modules make their handles once, so the lock is taken at start-up and by scrapes, not on any path of data.
public final class PrometheusExporter: MetricsFactory {
    /// The most series: a label with unbounded values is a mistake of ours that must not eat the memory budget (P9).
    public static let seriesCountMax = 10_000

    fileprivate enum Cell: Sendable {
        case counter(CounterCell)
        case floatingPoint(FloatingPointCounterCell)
        case gauge(GaugeCell)
        case histogram(HistogramCell)
    }

    private struct Family: Sendable {
        let type: String
        /// By the text of their labels, `a="b",c="d"`.
        var series: [String: Cell] = [:]
    }

    private struct State: Sendable {
        var families: [String: Family] = [:]
        var count = 0
    }

    private let state = NIOLockedValueBox(State())
    private let collectors = NIOLockedValueBox<[@Sendable () -> Void]>([])

    public init() {}

    /// Has `collect` called before each scrape, so that it sets gauges that nobody keeps up to date otherwise.
    public func beforeScrape(_ collect: @escaping @Sendable () -> Void) {
        collectors.withLockedValue { $0.append(collect) }
    }

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let cell = cell(label, "_total", "counter", dimensions) { .counter(CounterCell()) }
        if case .counter(let cell) = cell { return cell }
        return CounterCell()
    }

    public func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        let cell = cell(label, "_total", "counter", dimensions) { .floatingPoint(FloatingPointCounterCell()) }
        if case .floatingPoint(let cell) = cell { return cell }
        return FloatingPointCounterCell()
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return histogram(label, "", dimensions, HistogramCell.sizeBounds)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, "_seconds", dimensions, HistogramCell.durationBounds)
    }

    public func destroyCounter(_ handler: any CounterHandler) { forget(handler) }
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { forget(handler) }
    public func destroyMeter(_ handler: any MeterHandler) { forget(handler) }
    public func destroyRecorder(_ handler: any RecorderHandler) { forget(handler) }
    public func destroyTimer(_ handler: any TimerHandler) { forget(handler) }

    /// All metrics, families and series in the order of their names.
    public func text() -> String {
        for collect in collectors.withLockedValue({ $0 }) { collect() }
        let families = state.withLockedValue { $0.families }
        var out = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            out += "# TYPE \(name) \(family.type)\n"
            for (labels, cell) in family.series.sorted(by: { $0.key < $1.key }) {
                PrometheusExporter.write(cell, name, labels, to: &out)
            }
        }
        return out
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeCell {
        let cell = cell(label, "", "gauge", dimensions) { .gauge(GaugeCell()) }
        if case .gauge(let cell) = cell { return cell }
        return GaugeCell()
    }

    private func histogram(
        _ label: String,
        _ suffix: String,
        _ dimensions: [(String, String)],
        _ bounds: [Double]
    ) -> HistogramCell {
        let cell = cell(label, suffix, "histogram", dimensions) { .histogram(HistogramCell(bounds: bounds)) }
        if case .histogram(let cell) = cell { return cell }
        return HistogramCell(bounds: bounds)
    }

    /// The cell of a series, made where it is new. A name that is of another type already, or a series too many, gets
    /// a cell that is not shown: telemetry never fails the program.
    private func cell(
        _ label: String,
        _ suffix: String,
        _ type: String,
        _ dimensions: [(String, String)],
        make: () -> Cell
    ) -> Cell {
        let base = prometheusName(label)
        let name = base.hasSuffix(suffix) ? base : base + suffix
        let labels = labelText(dimensions)
        return state.withLockedValue { state in
            var family = state.families[name] ?? Family(type: type)
            guard family.type == type else { return make() }
            if let cell = family.series[labels] { return cell }
            let cell = make()
            guard state.count < PrometheusExporter.seriesCountMax else { return cell }
            family.series[labels] = cell
            state.families[name] = family
            state.count += 1
            return cell
        }
    }

    private func forget(_ handler: AnyObject) {
        state.withLockedValue { state in
            for (name, var family) in state.families {
                let dead = family.series.filter { $0.value.handler === handler }
                guard !dead.isEmpty else { continue }
                for labels in dead.keys { family.series[labels] = nil }
                state.families[name] = family.series.isEmpty ? nil : family
                state.count -= dead.count
            }
        }
    }

    private static func write(_ cell: Cell, _ name: String, _ labels: String, to out: inout String) {
        let braced = labels.isEmpty ? "" : "{\(labels)}"
        switch cell {
        case .counter(let cell): out += "\(name)\(braced) \(cell.current)\n"
        case .floatingPoint(let cell): out += "\(name)\(braced) \(numberText(cell.value.current))\n"
        case .gauge(let cell): out += "\(name)\(braced) \(numberText(cell.value.current))\n"
        case .histogram(let cell):
            let counts = cell.cumulative
            let comma = labels.isEmpty ? "" : ","
            for (bound, count) in zip(cell.bounds, counts) {
                out += "\(name)_bucket{\(labels)\(comma)le=\"\(numberText(bound))\"} \(count)\n"
            }
            out += "\(name)_bucket{\(labels)\(comma)le=\"+Inf\"} \(counts.last ?? 0)\n"
            out += "\(name)_sum\(braced) \(numberText(cell.sum))\n"
            out += "\(name)_count\(braced) \(counts.last ?? 0)\n"
        }
    }
}

extension PrometheusExporter.Cell {
    fileprivate var handler: AnyObject {
        switch self {
        case .counter(let cell): cell
        case .floatingPoint(let cell): cell
        case .gauge(let cell): cell
        case .histogram(let cell): cell
        }
    }
}

/// A name in Prometheus' alphabet: letters, digits, `_`; anything else becomes `_`.
private func prometheusName(_ label: String) -> String {
    let name = String(
        label.unicodeScalars.map { $0.isASCII && isNameByte(UInt8($0.value)) && $0 != "-" ? Character($0) : "_" })
    return name.first?.isNumber == true ? "_\(name)" : name
}

private func labelText(_ dimensions: [(String, String)]) -> String {
    dimensions.sorted { $0.0 < $1.0 }.map { name, value in
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\(prometheusName(name))=\"\(escaped)\""
    }.joined(separator: ",")
}

/// A number as Prometheus writes them: whole ones without a point.
private func numberText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value) { return "\(whole)" }
    return "\(value)"
}
