// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics

/// The process's logs and metrics, set up once before anything else.
public enum Telemetry {
    /// Routes all logging and metrics of the process; to be called once, by the executable.
    ///
    /// - Returns: what `/metrics` is written from.
    public static func bootstrap(_ log: AgentConfiguration.Log) -> PrometheusExporter {
        let level = Telemetry.level(of: log.level)
        let isJSON = log.format == .json
        LoggingSystem.bootstrap { label in LogLines(label: label, level: level, isJSON: isJSON) }
        let exporter = PrometheusExporter()
        MetricsSystem.bootstrap(exporter)
        return exporter
    }

    static func level(of level: AgentConfiguration.Log.Level) -> Logger.Level {
        switch level {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }
}
