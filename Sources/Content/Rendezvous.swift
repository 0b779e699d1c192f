// SPDX-License-Identifier: Apache-2.0

/// Rendezvous hashing: for one digest every agent has a weight, the lowest is chosen, and whoever knows the same agents
/// chooses the same. Who comes or goes changes the choice only where it is itself the one chosen.
///
/// Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
public enum Rendezvous {
    public static func weight(_ agent: AgentID, _ digest: Digest) -> UInt64 {
        var mixed = digest.suffix ^ agent.low
        mixed = (mixed ^ (mixed >> 33)) &* 0xff51_afd7_ed55_8ccd
        return mixed ^ (mixed >> 33)
    }
}
