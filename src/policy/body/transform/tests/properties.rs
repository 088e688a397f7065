//! What holds for any document and any steps.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::policy::body::document::{self, Document, Draft};
use crate::policy::body::transform::pointer::Pointer;
use crate::policy::body::transform::step::Step;

fn any_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|digits| Value::Number(digits.parse().unwrap())),
        "\\PC{0,4}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Small enough that two of them are often equal.
fn small_document() -> impl Strategy<Value = Value> {
    let number = "[01](\\.0{1,2})?(e[01])?".prop_map(|text| Value::Number(text.parse().unwrap()));
    number.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..2).prop_map(Value::Array),
            inner.prop_map(|value| json!({ "a": value })),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    "[abc]|[0-2]|-|~|/"
}

fn pointer() -> impl Strategy<Value = String> {
    let escaped = key().prop_map(|key| key.replace('~', "~0").replace('/', "~1"));
    prop_oneof![
        "[abc]",
        prop::collection::vec(escaped, 1..4).prop_map(|keys| format!("/{}", keys.join("/"))),
    ]
}

fn any_step() -> impl Strategy<Value = Value> {
    let names = prop::collection::btree_map(pointer(), pointer(), 0..3);
    let values = prop::collection::btree_map(pointer(), any_document(), 0..3);
    prop_oneof![
        names.prop_map(|names| json!({ "rename": names })),
        values.prop_map(|values| json!({ "set": values })),
        prop::collection::vec(pointer(), 0..3).prop_map(|gone| json!({ "remove": gone })),
        key().prop_map(|name| json!({ "wrap": name })),
        "[a-c@\\[\\]*.?|&{}:,`'\"0-2 ()!<=-]{1,12}".prop_map(|text| json!({ "jmespath": text })),
        prop::sample::select(&EXPRESSIONS[..]).prop_map(|text| json!({ "jmespath": text })),
        "(\\{\\{ ?body(\\.[abc]|\\[[0-2]\\]| ?[+*~|/-] ?[abc0-2])? ?\\}\\}|[\\[\\]{},:\"0-2a]){0,4}"
            .prop_map(|text| json!({ "template": text })),
    ]
}

const EXPRESSIONS: [&str; 10] = [
    "a.*.b",
    "[].a",
    "*[]",
    "[?a > `1`].{x: a, y: @}",
    "sort(@)",
    "sort_by(@, &a)",
    "sum(values(@))",
    "merge(a, b)",
    "map(&[0], @)",
    "[::-1] | [to_string(@), type(@), length(@)]",
];

/// An expression that computes with no number: there, the library's functions are not ours.
fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["a", "b", "c", "@", "`1`", "'a'", "[0]", "[*]", "*"]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(5, 24, 3, |inner| {
            let after = vec![
                ".a", ".b", "[0]", "[-1]", "[-2]", "[*]", "[]", "[1:]", "[::-1]", ".*", ".[a, @]",
                ".{x: a}",
            ];
            prop_oneof![
                (inner.clone(), prop::sample::select(after)).prop_map(|(of, then)| of + then),
                (inner.clone(), inner.clone())
                    .prop_map(|(list, each)| format!("({list})[?{each}].a")),
                (
                    inner.clone(),
                    prop::sample::select(vec!["|", "||", "&&", "==", "!=", "<"]),
                    inner.clone(),
                )
                    .prop_map(|(left, between, right)| format!("({left} {between} {right})")),
                inner.clone().prop_map(|of| format!("!{of}")),
                (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("[{x}, {y}]")),
                (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("{{x: {x}, y: {y}}}")),
                (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("not_null({x}, {y})")),
                (inner.clone(), inner)
                    .prop_map(|(each, list)| format!("map(&{each}, to_array({list}))")),
            ]
        })
}

fn read(steps: &[Value]) -> Option<Vec<Step>> {
    let steps = serde_json::from_value::<Vec<Step>>(json!(steps)).ok()?;
    let mut problems = crate::value::problem::Problems::default();
    step::check(&steps, &mut problems);
    (!problems.has_errors()).then_some(steps)
}

fn apply(steps: &[Step], document: &Value) -> Option<Value> {
    let text = document.to_string();
    let document = Document::scan(text.as_bytes()).unwrap();
    let mut steps = steps.iter();
    let result = steps.try_fold(Draft::Node(document.root()), |draft, step| {
        step.apply(draft, 1 << 16)
    });
    let result = result.ok()?;
    let written = result.write(1 << 20).unwrap();
    assert_eq!(written, result.to_value().to_string().as_bytes());
    Some(result.to_value())
}

/// All of a document's numbers and texts, in no order.
fn leaves(value: &Value) -> Vec<String> {
    let mut found: Vec<String> = match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(fields) => fields.values().flat_map(leaves).collect(),
        leaf => vec![leaf.to_string()],
    };
    found.sort();
    found
}

proptest! {
    /// A result is a document that can be written and read again, or there is a failure; never a panic.
    #[test]
    fn any_steps_on_any_document_come_to_an_end(
        document in any_document(),
        steps in prop::collection::vec(any_step(), 1..4),
    ) {
        if let Some(result) = read(&steps).and_then(|steps| apply(&steps, &document)) {
            let text = result.to_string();
            prop_assert_eq!(document::read(text.as_bytes()).unwrap(), result);
        }
    }

    /// Our evaluation copies less than the library's, and finds the same.
    #[test]
    fn expressions_find_what_the_library_finds(
        x in any_document(),
        y in small_document(),
        text in any_expression(),
    ) {
        let document = json!({
            "a": [x, { "a": y, "b": [1, 2] }, [y, x], "text"],
            "b": { "a": x, "b": { "a": [y, [x]] }, "c": false },
            "c": y,
        });
        let runtime = jpx_core::Runtime::strict();
        if let (Some(steps), Ok(oracle)) = (read(&[json!({ "jmespath": text })]), runtime.compile(&text)) {
            prop_assert_eq!(apply(&steps, &document), oracle.search(&document).ok(), "{}", text);
        }
    }

    /// What `==` finds in a list is contained in it, and nothing else is.
    #[test]
    fn a_list_contains_what_equals_a_part_of_it(
        list in prop::collection::vec(small_document(), 0..4),
        sought in small_document(),
    ) {
        let find = |expression: &str, document: Value| {
            apply(&read(&[json!({ "jmespath": expression })]).unwrap(), &document).unwrap()
        };
        let mut items = list.iter();
        let equals = items.any(|item| find("[0] == [1]", json!([item, sought])) == json!(true));
        let contains = find("contains([0], [1])", json!([list, sought]));
        prop_assert_eq!(contains, json!(equals));
    }

    /// Names that nothing has yet: what was renamed one way comes back the other way.
    #[test]
    fn renaming_can_be_undone(fields in prop::collection::btree_map("[a-c]", any_document(), 0..4)) {
        let document = Value::Object(fields.into_iter().collect::<Map<_, _>>());
        let there = json!({ "rename": { "a": "x", "b": "y", "/c": "/z/c" } });
        let back = json!({ "rename": { "x": "a", "y": "b", "/z/c": "/c" } });
        let rest = json!({ "remove": ["z"] });
        let result = apply(&read(&[there, back, rest]).unwrap(), &document).unwrap();
        prop_assert_eq!(&result, &document);
        prop_assert_eq!(leaves(&result), leaves(&document));
    }

    /// What is set is there, and what is removed is gone, and neither touches anything else.
    #[test]
    fn what_is_set_and_removed_leaves_the_rest(document in any_document(), value in any_document()) {
        let marked = json!({ "document": document });
        // Not by way of serde: its numbers become floating point where that has the same text.
        let pointer = Pointer::try_from("/mark/deep".to_owned()).unwrap();
        let set = Step::Set([(pointer, value.clone())].into_iter().collect());
        let with = apply(&[set], &marked).unwrap();
        prop_assert_eq!(with.pointer("/mark/deep"), Some(&value));
        let removed = apply(&read(&[json!({ "remove": ["/mark"] })]).unwrap(), &with).unwrap();
        prop_assert_eq!(removed, marked);
    }
}
