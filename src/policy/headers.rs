//! `request` and `response`: headers set, added and removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::NotBuilt;

/// `request`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    pub set_headers: BTreeMap<String, String>,
    pub add_headers: BTreeMap<String, String>,
    pub remove_headers: Vec<String>,
    #[serde(skip_serializing)]
    pub validate: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub body: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub max_body: Option<NotBuilt>,
}

/// `response`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    pub set_headers: BTreeMap<String, String>,
    pub add_headers: BTreeMap<String, String>,
    pub remove_headers: Vec<String>,
    #[serde(skip_serializing)]
    pub validate: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub body: Option<NotBuilt>,
    #[serde(skip_serializing)]
    pub envelope: Option<NotBuilt>,
}
