//! `upstream`: one upstream gets all requests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Named, Options};
use super::forward::{self, Forward};
use super::rehearsal::Rehearsing;
use super::settle::ChooseUpstream;
use crate::http::boxed::pinned;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;
use crate::upstream::Upstream;
use crate::value::problem::Problems;

/// `upstream`: its name.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Config(String);

impl Block for Config {
    fn check(&self, _: &[&str], _: &mut Problems) {}

    fn build(&self, build: &Build<'_>, options: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(One {
            forward: Forward::new(build, options)?,
            upstream: build.upstream(&self.0)?,
        }))
    }

    fn rehearse(
        &self,
        rehearsing: &Rehearsing<'_>,
        options: Options<'_>,
    ) -> Option<Box<dyn Handler>> {
        let name: Arc<str> = self.0.as_str().into();
        Some(forward::told(rehearsing, options, move |_| name.clone()))
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn upstreams(&self) -> Vec<Named<'_>> {
        vec![(&self.0, Vec::new())]
    }

    fn settled_by(&self, _: Options<'_>) -> Option<Box<dyn ChooseUpstream>> {
        Some(Box::new(Arc::<str>::from(self.0.as_str())))
    }
}

/// The target of a route with `upstream`.
struct One {
    forward: Forward,
    upstream: Arc<Upstream>,
}

impl Handler for One {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        pinned(|| self.forward.send(&self.upstream, request, exchange))
    }
}
