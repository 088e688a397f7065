//! What callers send who want to have a statement of their own run.

/// Texts that have broken into statements elsewhere, in many combinations.
pub fn injections() -> Vec<String> {
    const OPENINGS: [&str; 12] = [
        "'",
        "\"",
        "`",
        "\\'",
        "')",
        "1",
        "$$",
        "*/",
        "\u{2019}",
        "\u{ff07}",
        "%27",
        "\u{5c}\u{27}",
    ];
    const ATTACKS: [&str; 15] = [
        " or 1=1",
        "; drop table orders",
        "; select pg_sleep(60)",
        " union select usename, passwd from pg_shadow",
        " and sleep(60)",
        "; copy x to program 'id'",
        " or ''='",
        "|| (select version())",
        " into outfile '/tmp/x'",
        "; attach database 'x' as y",
        " limit 1 offset 0 procedure analyse()",
        "; begin; delete from orders; commit",
        " $1 ? :name @@version",
        "\n--\r\n; vacuum",
        "\u{0001}\u{007f}\u{202e}😀",
    ];
    const ENDINGS: [&str; 3] = [" --", " #", " /*"];
    let mut all = Vec::new();
    for opening in OPENINGS {
        for attack in ATTACKS {
            all.extend(
                ENDINGS
                    .iter()
                    .map(|ending| format!("{opening}{attack}{ending}")),
            );
        }
    }
    all
}
