//! `outrigger check --live`, which has the database itself look at the statements.

use super::table;
use crate::databases::Checked;
use crate::support::MariaDbServer;

#[test]
fn the_database_says_what_it_thinks_of_statements() {
    let table = table("id int primary key, name text");
    let url = MariaDbServer::shared().url();
    let of = |blocks: &[&str]| Checked::of(&url, blocks);
    let good = format!(
        "statement = \"select id, name from {table} where id = $1 or $1 is null\"\nparameters = [\
         {{ from = \"query.a\", type = \"int4\" }}]"
    );
    // What a procedure gives is not known before.
    MariaDbServer::shared().sql(&format!("create procedure {table}_p() select 1 as a"));
    let called = format!("statement = \"call {table}_p()\"");
    let checked = of(&[&good, &called]);
    checked.assert_code(0);
    let said = &checked.said;
    assert!(said.contains("is good"), "{said}");
    let refused = "statement = \"select hush from nowhere_at_all\"";
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = format!("statement = \"delete from {table}\"\nresult = \"one\"");
    let checked = of(&[&good, refused, twice, &rowless]);
    checked.assert_code(2);
    checked.assert_says(&[
        "nowhere_at_all' doesn't exist (error 1146)",
        "two columns of the result are called `a`",
        "the statement gives no rows",
    ]);
}
