//! `outrigger check --live`, which has the database itself look at the statements.

use super::config;
use super::kinds::{Kind, Server};
use crate::support::check_live as check;

mod any {
    use super::what_is_wrong_with_statements_is_told;

    on_every_kind!(what_is_wrong_with_statements_is_told);
}

on_servers!(a_database_that_cannot_be_asked_is_told_once);

/// What a check of routes with these blocks says.
pub struct Checked {
    pub code: Option<i32>,
    pub said: String,
}

impl Checked {
    pub fn of(url: &str, blocks: &[&str]) -> Checked {
        let paths: Vec<String> = (0..blocks.len()).map(|n| format!("/{n}")).collect();
        let routes: Vec<(&str, &str)> = paths
            .iter()
            .map(String::as_str)
            .zip(blocks.iter().copied())
            .collect();
        let (code, said) = check(&config(url, "", &routes));
        Checked { code, said }
    }

    /// All is good, or something is not.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}", self.said);
    }

    pub fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.said.contains(part), "no {part:?} in {}", self.said);
        }
    }
}

fn what_is_wrong_with_statements_is_told<K: Kind>(database: &K) {
    let table = database.table("id bigint primary key, name text");
    let url = database.url();
    let good = format!(
        "statement = \"select id, name from {table} where id = $1\"\nparameters = [{{ from = \"query.a\", type = \"int8\" }}]"
    );
    let checked = Checked::of(&url, &[&good]);
    checked.assert_code(0);
    checked.assert_says(&["is good"]);
    let twice = "statement = \"select 1 as a, 2 as a\"";
    let rowless = format!("statement = \"delete from {table}\"\nresult = \"one\"");
    let checked = Checked::of(&url, &[&good, twice, &rowless]);
    checked.assert_code(2);
    checked.assert_says(&[
        "two columns of the result are called `a`",
        "the statement gives no rows",
    ]);
    assert!(!checked.said.contains(K::SECRET), "{}", checked.said);
}

fn a_database_that_cannot_be_asked_is_told_once<K: Server>(database: &K) {
    let url = database.url().replace("secret", "wrong");
    let block = "statement = \"select 1 as a\"";
    let checked = Checked::of(&url, &[block, block]);
    checked.assert_code(2);
    let said = &checked.said;
    assert_eq!(said.matches("cannot be asked").count(), 1, "{said}");
    assert!(said.contains(K::WRONG_PASSWORD), "{said}");
    assert!(!said.contains("wrong@"), "{said}");
}
