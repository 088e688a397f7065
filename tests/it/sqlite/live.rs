//! `outrigger check --live`, which has SQLite itself look at the statements.

use super::Data;
use crate::databases::Checked;

#[test]
fn the_library_says_what_it_thinks_of_statements() {
    let data = Data::new("create table items (id integer primary key, name text)");
    let of = |blocks: &[&str]| Checked::of(&data.url(), blocks);
    let good = "statement = \"select id, name from items where id = $1\"\nparameters = [\
                { from = \"query.a\", type = \"int8\" }]";
    let checked = of(&[good]);
    checked.assert_code(0);
    let said = &checked.said;
    assert!(said.contains("is good"), "{said}");
    let refused = "statement = \"select hush from items\"";
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = "statement = \"delete from items\"\nresult = \"one\"";
    let checked = of(&[good, refused, twice, rowless]);
    checked.assert_code(2);
    checked.assert_says(&[
        "the database refuses this: no such column: hush, at byte 8",
        "two columns of the result are called `a`",
        "the statement gives no rows",
    ]);
}

#[test]
fn a_file_that_is_not_there_cannot_be_asked() {
    let block = "statement = \"select 1 as a\"";
    let url = "sqlite:///nowhere/at/all.db";
    let checked = Checked::of(url, &[block, block]);
    checked.assert_code(2);
    let said = &checked.said;
    assert_eq!(said.matches("cannot be asked").count(), 1, "{said}");
}
