//! The policy as a route has it, asked with tokens of an issuer that the test plays.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::policy::build::Kept;
use crate::testing::{Echo, next, request};

mod claims;
mod config;
mod issuer;
mod key_sets;
mod tokens;

use issuer::{Issuer, claims, set};

const BASE: &str = "issuer = \"https://idp.example\"\naudiences = [\"shop\"]\n";

fn built(config: &Config, build: &mut Build<'_>) -> Jwt {
    let opened = config.jwks.open(&mut Problems::default());
    Jwt::new(config, &opened.material.unwrap(), build)
}

/// A policy whose keys come from a file.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn with(keys: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys"), set(keys)).unwrap();
        Fixture { dir }
    }

    fn config(&self, more: &str) -> Config {
        let path = self.dir.path().join("keys");
        toml::from_str(&format!("{BASE}jwks = {{ file = {path:?} }}\n{more}")).unwrap()
    }

    fn policy(&self, more: &str) -> Jwt {
        let (old, mut new) = (Kept::default(), Kept::default());
        let mut build = Build::new("pay".into(), &old, &mut new);
        built(&self.config(more), &mut build)
    }
}

fn with_token(token: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers.insert(&header::AUTHORIZATION, &value);
    request
}

/// "", or why the token is not believed.
async fn refusal(policy: &Jwt, token: &str) -> String {
    match policy.apply(with_token(token), next(&Echo)).await {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.reason(), UNAUTHORIZED);
            let (name, challenge) = &error.headers()[0];
            assert_eq!(name, header::WWW_AUTHENTICATE);
            let description = format!("error_description=\"{}\"", error.detail());
            assert!(challenge.to_str().unwrap().ends_with(&description));
            error.detail().to_owned()
        }
    }
}
