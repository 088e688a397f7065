//! The functions of JMESPath: those of its specification, as the library has them, on numbers made safe and exact.

use std::sync::LazyLock;

use crate::value::Wrong;
use jpx_core::ast::Comparator;
use jpx_core::functions::{
    AbsFn, AvgFn, CeilFn, ContainsFn, FloorFn, Function, MapFn, MaxByFn, MaxFn, MinByFn, MinFn,
    SortByFn, SortFn, SumFn, custom_error,
};
use jpx_core::{Context, JmespathError, Runtime, SearchResult, ValueExt};
use serde_json::{Number, Value};

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Runtime::strict();
    let ours: [(&str, Box<dyn Function>); 12] = [
        ("abs", Box::new(Computing(AbsFn::new()))),
        ("avg", Box::new(Computing(AvgFn::new()))),
        ("ceil", Box::new(Computing(CeilFn::new()))),
        ("floor", Box::new(Computing(FloorFn::new()))),
        ("sum", Box::new(Computing(SumFn::new()))),
        ("max", Box::new(Ordering(MaxFn::new()))),
        ("min", Box::new(Ordering(MinFn::new()))),
        ("sort", Box::new(Ordering(SortFn::new()))),
        ("max_by", Box::new(OrderingByKey(MaxByFn::new()))),
        ("min_by", Box::new(OrderingByKey(MinByFn::new()))),
        ("sort_by", Box::new(OrderingByKey(SortByFn::new()))),
        ("contains", Box::new(Contains(ContainsFn::new()))),
    ];
    for (name, function) in ours {
        runtime.register_function(name, function);
    }
    runtime
});

/// Those that do something with each item of a list.
pub const TAKING_EXPRESSIONS: [&str; 4] = ["map", "max_by", "min_by", "sort_by"];

/// The functions of the specification, with the fewest and the most arguments that each takes.
const FUNCTIONS: [(&str, usize, usize); 26] = [
    ("abs", 1, 1),
    ("avg", 1, 1),
    ("ceil", 1, 1),
    ("contains", 2, 2),
    ("ends_with", 2, 2),
    ("floor", 1, 1),
    ("join", 2, 2),
    ("keys", 1, 1),
    ("length", 1, 1),
    ("map", 2, 2),
    ("max", 1, 1),
    ("max_by", 2, 2),
    ("merge", 0, usize::MAX),
    ("min", 1, 1),
    ("min_by", 2, 2),
    ("not_null", 1, usize::MAX),
    ("reverse", 1, 1),
    ("sort", 1, 1),
    ("sort_by", 2, 2),
    ("starts_with", 2, 2),
    ("sum", 1, 1),
    ("to_array", 1, 1),
    ("to_number", 1, 1),
    ("to_string", 1, 1),
    ("type", 1, 1),
    ("values", 1, 1),
];

/// # Errors
/// There is no such function, or it takes another number of arguments.
pub fn takes(name: &str, given: usize) -> Result<(), Wrong> {
    let known = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    let (_, least, most) = known.ok_or_else(|| {
        let names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
        Wrong::new(format!("JMESPath has no function `{name}`"))
            .help(format!("it has {}", names.join(", ")))
    })?;
    if (*least..=*most).contains(&given) {
        return Ok(());
    }
    let wanted = match (*least, *most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, _) => least.to_string(),
    };
    Err(Wrong::new(format!(
        "`{name}` takes {wanted} arguments, and is given {given}"
    )))
}

/// A function on numbers: what has no fraction is written without one, as people expect of `sum` and `length` alike.
struct Computing<F>(F);

impl<F: Function> Function for Computing<F> {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        in_range(args, ctx)?;
        Ok(match self.0.evaluate(args, ctx)? {
            Value::Number(number) => Value::Number(without_fraction(number)),
            other => other,
        })
    }
}

/// A function that orders numbers.
struct Ordering<F>(F);

impl<F: Function> Function for Ordering<F> {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        in_range(args, ctx)?;
        self.0.evaluate(args, ctx)
    }
}

/// A function that orders what it is given by something of it.
struct OrderingByKey<F>(F);

impl<F: Function> Function for OrderingByKey<F> {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        if let [list, key] = args
            && has_beyond(list)
        {
            let keys = MapFn::new().evaluate(&[key.clone(), list.clone()], ctx)?;
            in_range(&[keys], ctx)?;
        }
        self.0.evaluate(args, ctx)
    }
}

/// `contains`, for which a number is in a list as soon as `==` finds it there: 1 and 1.0 are one number.
struct Contains(ContainsFn);

impl Function for Contains {
    fn evaluate(&self, args: &[Value], ctx: &mut Context<'_>) -> SearchResult {
        let [Value::Array(items), sought] = args else {
            return self.0.evaluate(args, ctx);
        };
        let mut equal = items
            .iter()
            .map(|item| item.compare(&Comparator::Equal, sought));
        Ok(Value::Bool(equal.any(|equal| equal == Some(true))))
    }
}

/// Whether a number beyond 64-bit floating point stands anywhere in a document.
fn has_beyond(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_beyond),
        Value::Object(fields) => fields.values().any(has_beyond),
        leaf => is_beyond(leaf),
    }
}

fn is_beyond(value: &Value) -> bool {
    value.is_number() && value.as_f64().is_none()
}

/// The library takes a number beyond 64-bit floating point for 0, or panics.
fn in_range(args: &[Value], ctx: &Context<'_>) -> Result<(), JmespathError> {
    let found = args.iter().any(|arg| match arg {
        Value::Array(items) => items.iter().any(is_beyond),
        arg => is_beyond(arg),
    });
    if found {
        Err(custom_error(ctx, "a number is too large to compute with"))
    } else {
        Ok(())
    }
}

fn without_fraction(number: Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT => Number::from(value as i64),
        _ => number,
    }
}
