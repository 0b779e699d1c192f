// SPDX-License-Identifier: Apache-2.0

/// The name that was probably meant: the one fewest edits away, or nil where none is near.
func nearestName(to text: String, among names: [String]) -> String? {
    let near = max(1, min(3, text.count / 2))
    let ranked = names.map { (name: $0, edits: editDistance(text.lowercased(), $0.lowercased())) }
    return ranked.filter { $0.edits <= near }.min { $0.edits < $1.edits }?.name
}

/// Words for the end of a message.
func suggestion(_ name: String?) -> String {
    name.map { "; did you mean '\($0)'?" } ?? ""
}

/// Insertions, removals, replacements and swaps of neighbours between two texts (optimal string alignment).
private func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var rows = [Array(0...b.count)]
    for i in a.indices {
        var row = [i + 1]
        for j in b.indices {
            var edits = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { edits = min(edits, rows[i - 1][j - 1] + 1) }
            row.append(edits)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
