// SPDX-License-Identifier: Apache-2.0

import Agent
import Metrics
import Testing

@Suite("The Prometheus exporter")
struct PrometheusExporterTests {
    @Test("writes counters with their suffix, sorted, with labels")
    func counters() {
        let exporter = PrometheusExporter()
        exporter.makeCounter(label: "larder.peers.bytes", dimensions: [("site", "cloud"), ("class", "reader")])
            .increment(by: 5)
        exporter.makeCounter(label: "larder.peers.bytes", dimensions: [("class", "reader"), ("site", "cloud")])
            .increment(by: 2)
        exporter.makeCounter(label: "larder.peers.bytes", dimensions: [("site", "attic")]).increment(by: 1)
        exporter.makeCounter(label: "larder_a_total", dimensions: []).increment(by: 3)
        #expect(
            exporter.text() == """
                # TYPE larder_a_total counter
                larder_a_total 3
                # TYPE larder_peers_bytes_total counter
                larder_peers_bytes_total{class="reader",site="cloud"} 7
                larder_peers_bytes_total{site="attic"} 1

                """
        )
    }

    @Test("escapes label values")
    func escaping() {
        let exporter = PrometheusExporter()
        exporter.makeMeter(label: "m-1", dimensions: [("a b", "x\"y\\z\nü")]).set(1.5)
        #expect(exporter.text() == "# TYPE m_1 gauge\nm_1{a_b=\"x\\\"y\\\\z\\nü\"} 1.5\n")
    }

    @Test("writes gauges that rise and fall")
    func gauges() {
        let exporter = PrometheusExporter()
        let meter = exporter.makeMeter(label: "level", dimensions: [])
        meter.set(10.0)
        meter.increment(by: 2.5)
        meter.decrement(by: 4)
        exporter.makeRecorder(label: "recorded", dimensions: [], aggregate: false).record(Int64(-3))
        #expect(exporter.text() == "# TYPE level gauge\nlevel 8.5\n# TYPE recorded gauge\nrecorded -3\n")
    }

    @Test("writes timers as cumulative histograms in seconds")
    func timers() {
        let exporter = PrometheusExporter()
        let timer = exporter.makeTimer(label: "larder.read", dimensions: [("from", "store")])
        timer.recordNanoseconds(50_000)
        timer.recordNanoseconds(100_000)
        timer.recordNanoseconds(2_000_000_000)
        timer.recordNanoseconds(1_000_000_000_000)
        let lines = exporter.text().split(separator: "\n").map(String.init)
        #expect(lines.first == "# TYPE larder_read_seconds histogram")
        #expect(lines.contains("larder_read_seconds_bucket{from=\"store\",le=\"0.0001\"} 2"))
        #expect(lines.contains("larder_read_seconds_bucket{from=\"store\",le=\"1\"} 2"))
        #expect(lines.contains("larder_read_seconds_bucket{from=\"store\",le=\"2.5\"} 3"))
        #expect(lines.contains("larder_read_seconds_bucket{from=\"store\",le=\"120\"} 3"))
        #expect(lines.contains("larder_read_seconds_bucket{from=\"store\",le=\"+Inf\"} 4"))
        #expect(
            lines.suffix(2) == [
                "larder_read_seconds_sum{from=\"store\"} 1002.00015", "larder_read_seconds_count{from=\"store\"} 4",
            ])
    }

    @Test("gives a name that is of another type already to nobody, and goes on")
    func conflict() {
        let exporter = PrometheusExporter()
        exporter.makeMeter(label: "x", dimensions: []).set(1.0)
        exporter.makeRecorder(label: "x", dimensions: [], aggregate: true).record(5.0)
        #expect(exporter.text() == "# TYPE x gauge\nx 1\n")
    }

    @Test("forgets what is destroyed")
    func destroy() {
        let exporter = PrometheusExporter()
        let counter = exporter.makeCounter(label: "x", dimensions: [])
        exporter.destroyCounter(counter)
        #expect(exporter.text().isEmpty)
    }

    @Test("bounds the number of series")
    func bound() {
        let exporter = PrometheusExporter()
        for number in 0..<PrometheusExporter.seriesCountMax + 10 {
            exporter.makeCounter(label: "x", dimensions: [("n", "\(number)")]).increment(by: 1)
        }
        #expect(exporter.text().split(separator: "\n").count == PrometheusExporter.seriesCountMax + 1)
    }

    @Test("asks for fresh values before it writes")
    func collectors() {
        let exporter = PrometheusExporter()
        let meter = exporter.makeMeter(label: "fresh", dimensions: [])
        exporter.beforeScrape { meter.increment(by: 1) }
        _ = exporter.text()
        #expect(exporter.text().hasSuffix("fresh 2\n"))
    }

    @Test("counts what many tasks add")
    func concurrency() async {
        let exporter = PrometheusExporter()
        let counter = exporter.makeCounter(label: "n", dimensions: [])
        let meter = exporter.makeMeter(label: "m", dimensions: [])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.increment(by: 1)
                        meter.increment(by: 1)
                    }
                }
            }
        }
        #expect(exporter.text() == "# TYPE m gauge\nm 80000\n# TYPE n_total counter\nn_total 80000\n")
    }
}
