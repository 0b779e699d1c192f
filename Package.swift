// swift-tools-version: 6.2
import PackageDescription

// The targets and their arrows are DESIGN §3; `hack/check` holds the same matrix as data and fails on any other import.

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let concurrencyHelpers = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

func module(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "larder",
    products: [.executable(name: "larder", targets: ["larder"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CFuse", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
        .systemLibrary(name: "CHandover"),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLz4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CXXHash", providers: [.apt(["libxxhash-dev"])]),

        module("Content", []),
        module("Chunking", ["Content", "CZstd", "CZlib", "CLz4", crypto]),
        module(
            "Storage",
            [
                "Content", "Chunking", "CXXHash", concurrencyHelpers, logging, metrics,
                .product(name: "GRDB", package: "GRDB.swift"),
            ]
        ),
        module(
            "Peers",
            [
                "Content", "Chunking", "Storage", concurrencyHelpers, logging, metrics, nioCore, nioPosix, nioHTTP1,
                nioSSL, hummingbird, hummingbirdCore, httpClient, httpTypes, lifecycle, crypto, x509, asn1,
            ]
        ),
        module(
            "Objects",
            [
                "Content", "Chunking", "Storage", "Peers", concurrencyHelpers, logging, metrics, nioCore, nioPosix,
                lifecycle,
            ]
        ),
        module("FUSE", ["CFuse", concurrencyHelpers]),
        module("Holder", ["CHandover", concurrencyHelpers]),
        module(
            "Volumes", ["Content", "Objects", "FUSE", concurrencyHelpers, logging, metrics], exclude: ["SEMANTICS.md"]),
        module(
            "Control",
            [
                "Content", "Objects", concurrencyHelpers, logging, nioCore, nioPosix, nioHTTP1, hummingbird, httpClient,
                httpTypes, lifecycle,
            ],
            exclude: ["openapi.yaml"]
        ),
        module(
            "Agent",
            [
                "Content", "Chunking", "Storage", "Peers", "Objects", "FUSE", "Holder", "Volumes", "Control",
                concurrencyHelpers,
                logging, metrics, nioCore, nioPosix, hummingbird, httpTypes, lifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        .executableTarget(
            name: "larder",
            dependencies: [
                "Content", "Peers", "Holder", "Control", "Agent", logging, nioCore,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),

        // What one core does, stage by stage, on the caller's own file: the ceiling in `hack/bench`.
        .executableTarget(
            name: "larder-stages",
            dependencies: ["Content", "Chunking", "CXXHash", "FUSE", "FUSESupport", "ProbeSupport"],
            path: "Tests/Benchmarks",
            swiftSettings: settings
        ),

        // What crosses a link for one file when the receiver holds another, by kind, without a link: `hack/study`.
        .executableTarget(
            name: "larder-study",
            dependencies: ["Content", "Chunking", "ProbeSupport"],
            path: "Tests/Study",
            swiftSettings: settings
        ),

        // What a directory of a million entries and a store of five million chunks cost: `hack/bench directory`.
        .executableTarget(
            name: "larder-directory",
            dependencies: ["Content", "Chunking", "Storage", "Peers", logging],
            path: "Tests/DirectoryBench",
            swiftSettings: settings
        ),

        // How the probes are called, and how they answer.
        .target(name: "ProbeSupport", path: "Tests/ProbeSupport", swiftSettings: settings),
        .target(name: "FUSESupport", dependencies: ["FUSE"], path: "Tests/FUSESupport", swiftSettings: settings),
        .systemLibrary(name: "CSpawn", path: "Tests/CSpawn"),
        .target(
            name: "ProcessSupport", dependencies: ["CSpawn"], path: "Tests/ProcessSupport", swiftSettings: settings),
        .target(
            name: "TestSupport",
            dependencies: ["Content", "Storage", "Peers", "Objects", logging],
            path: "Tests/Support",
            swiftSettings: settings
        ),
        tests("ContentTests", ["Content"]),
        tests("ChunkingTests", ["Content", "Chunking", "ProcessSupport"]),
        tests("StorageTests", ["Content", "Chunking", "Storage", concurrencyHelpers, logging]),
        tests(
            "PeersTests",
            ["Content", "Chunking", "Storage", "Peers", concurrencyHelpers, logging, nioCore, lifecycle]
        ),
        tests(
            "ObjectsTests",
            ["Content", "Chunking", "Storage", "Peers", "Objects", "ProcessSupport", "TestSupport", concurrencyHelpers]),
        tests("FUSETests", ["FUSE", "FUSESupport", "ProcessSupport", concurrencyHelpers]),
        tests("HolderTests", ["Holder"]),
        tests("VolumesTests", ["Content", "Peers", "Objects", "Volumes", "ProcessSupport", "TestSupport", logging]),
        tests(
            "ControlTests",
            ["Content", "Storage", "Peers", "Objects", "Control", concurrencyHelpers, logging, nioCore, lifecycle]),
        tests("AgentTests", ["Content", "Agent", logging, metrics]),
        // The policies of `Peers` under a seeded clock and network.
        tests("SimulationTests", ["Content", "Chunking", "Storage", "Peers", logging]),
        // They run the program itself, which the same build makes.
        tests("IntegrationTests", ["larder", "ProcessSupport"]),
    ],
    swiftLanguageModes: [.v6]
)
