use super::*;

fn numbers(text: &str, kind: Kind) -> Vec<usize> {
    let found = scan(text, kind);
    assert!(!found.is_open, "{text}");
    found
        .placeholders
        .iter()
        .map(|(_, number)| *number)
        .collect()
}

#[test]
fn placeholders_are_found_where_they_are_some() {
    for (text, expected) in [
        ("select $1, $2 from t where a = $1", vec![1, 2, 1]),
        ("select '$1', \"$2\", $3", vec![3]),
        ("select 'it''s $1', $2", vec![2]),
        ("select E'\\'$1', $2", vec![2]),
        ("select '\\', $2", vec![2]),
        ("select $$ $1 $$, $x$ $2 $$ $x$, $3", vec![3]),
        ("select 1 -- $1\n, $2 /* $3 /* $4 */ $5 */", vec![2]),
        ("select a$1, $2::text", vec![2]),
        ("select data ? 'a', $1", vec![1]),
    ] {
        assert_eq!(numbers(text, Kind::Postgres), expected, "{text}");
    }
    for (text, expected) in [
        ("select ?, ?", vec![1, 2]),
        ("select '?\\'?', `?`, \"?\", ? # ?\n, ? -- ?", vec![1, 2]),
        ("select $2, $1", vec![2, 1]),
        ("select 3--1, ?", vec![1]),
    ] {
        assert_eq!(numbers(text, Kind::MySql), expected, "{text}");
    }
    assert_eq!(numbers("select ?2, [?], ?1, ?", Kind::Sqlite), [2, 1, 3]);
    assert_eq!(numbers("select $2, ($1)", Kind::Sqlite), [2, 1]);
}

#[test]
fn placeholders_without_a_number_are_seen() {
    for (text, expected) in [
        ("select $1, $2", None),
        ("select ':x', a : b, @ [:y] -- :z", None),
        ("select :x, @y", Some(":x")),
        ("select @1", Some("@1")),
        ("select $name", Some("$name")),
        ("select $1::text", Some("$1")),
        ("select $1(x)", Some("$1")),
        ("select $1x", Some("$1x")),
        ("select $1, ?2", Some("?2")),
        ("select ?1, $2", Some("$2")),
    ] {
        let found = scan(text, Kind::Sqlite).unnumbered;
        assert_eq!(found.as_deref(), expected, "{text}");
    }
    assert_eq!(
        scan("select a::text, $1::int", Kind::Postgres).unnumbered,
        None
    );
}

#[test]
fn commands_are_counted() {
    for (text, commands) in [
        ("select 1", 1),
        ("select 1;", 1),
        (" ; select 1 ; -- ;\n", 1),
        ("select ';'; select 2", 2),
        ("", 0),
        ("-- nothing", 0),
    ] {
        assert_eq!(scan(text, Kind::Postgres).commands, commands, "{text}");
    }
    for text in ["select 'x", "select $$ x", "select /* x", "select \"x"] {
        assert!(scan(text, Kind::Postgres).is_open, "{text}");
    }
}

#[test]
fn what_changes_something_is_told_from_what_reads() {
    for (text, reads) in [
        ("select * from t", true),
        ("WITH x AS (SELECT 1) SELECT * FROM x", true),
        (
            "with x as (delete from t returning *) select * from x",
            false,
        ),
        ("select * into t from u", false),
        ("insert into t values (1)", false),
        ("vacuum", false),
        ("select 'delete', \"update\"", true),
        ("select updated from t", true),
    ] {
        assert_eq!(scan(text, Kind::Postgres).only_reads, reads, "{text}");
    }
    assert!(!scan("select 1 /*! into outfile 'x' */", Kind::MySql).only_reads);
    assert!(scan("select set_config('a', 'b', false)", Kind::Postgres).marks_session);
    for (text, marks) in [
        ("select @a := 1", true),
        ("call p()", true),
        ("select @@version, 'a@b'", false),
    ] {
        assert_eq!(scan(text, Kind::MySql).marks_session, marks, "{text}");
    }
    let found = scan("Set Local x = 1", Kind::Postgres);
    assert_eq!(
        (found.first.as_str(), found.second.as_str()),
        ("set", "local")
    );
}

#[test]
fn nothing_that_is_written_breaks_it() {
    for text in [
        "$", "$x", ":", "@ü", "$1::", "'", "e'", "e'\\", "?", "/*", "ü$ü$", "$ü", "\u{0}",
    ] {
        for kind in [Kind::Postgres, Kind::MySql, Kind::Sqlite] {
            scan(text, kind);
        }
    }
}
