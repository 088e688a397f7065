//! `outrigger check --live`, which has the database itself look at the statements.

use super::{config, table};
use crate::support::{MariaDbServer, check_live as check};

#[test]
fn the_database_says_what_it_thinks_of_statements() {
    let table = table("id int primary key, name text");
    let url = MariaDbServer::shared().url();
    let of = |blocks: &[&str]| {
        let paths: Vec<String> = (0..blocks.len()).map(|n| format!("/{n}")).collect();
        let routes: Vec<(&str, &str)> = paths
            .iter()
            .map(String::as_str)
            .zip(blocks.iter().copied())
            .collect();
        check(&config(&url, "", &routes))
    };
    let good = format!(
        "statement = \"select id, name from {table} where id = $1 or $1 is null\"\nparameters = [\
         {{ from = \"query.a\", type = \"int4\" }}]"
    );
    // What a procedure gives is not known before.
    MariaDbServer::shared().sql(&format!("create procedure {table}_p() select 1 as a"));
    let called = format!("statement = \"call {table}_p()\"");
    let (code, said) = of(&[&good, &called]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is good"), "{said}");
    let refused = "statement = \"select hush from nowhere_at_all\"";
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = format!("statement = \"delete from {table}\"\nresult = \"one\"");
    let (code, said) = of(&[&good, refused, twice, &rowless]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "nowhere_at_all' doesn't exist (error 1146)",
        "two columns of the result are called `a`",
        "the statement gives no rows",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn a_database_that_cannot_be_asked_is_told_once() {
    let url = MariaDbServer::shared().url().replace("secret", "wrong");
    let block = "statement = \"select 1 as a\"";
    let (code, said) = check(&config(&url, "", &[("/a", block), ("/b", block)]));
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.matches("cannot be asked").count(), 1, "{said}");
    assert!(!said.contains("wrong@"), "{said}");
}
