//! `outrigger check --live`, which has SQLite itself look at the statements.

use super::{Data, config};
use crate::support::check_live as check;

#[test]
fn the_library_says_what_it_thinks_of_statements() {
    let data = Data::new("create table items (id integer primary key, name text)");
    let of = |blocks: &[&str]| {
        let paths: Vec<String> = (0..blocks.len()).map(|n| format!("/{n}")).collect();
        let routes: Vec<(&str, &str)> = paths
            .iter()
            .map(String::as_str)
            .zip(blocks.iter().copied())
            .collect();
        check(&config(&data.url(), "", &routes))
    };
    let good = "statement = \"select id, name from items where id = $1\"\nparameters = [\
                { from = \"query.a\", type = \"int8\" }]";
    let (code, said) = of(&[good]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is good"), "{said}");
    let refused = "statement = \"select hush from items\"";
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = "statement = \"delete from items\"\nresult = \"one\"";
    let (code, said) = of(&[good, refused, twice, rowless]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "the database refuses this: no such column: hush, at byte 8",
        "two columns of the result are called `a`",
        "the statement gives no rows",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn a_file_that_is_not_there_cannot_be_asked() {
    let block = "statement = \"select 1 as a\"";
    let url = "sqlite:///nowhere/at/all.db";
    let (code, said) = check(&config(url, "", &[("/a", block), ("/b", block)]));
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.matches("cannot be asked").count(), 1, "{said}");
}
