//! How large an expression can make a document, told from the expression alone.

use jpx_core::ast::Ast;

use super::functions::{TAKING_EXPRESSIONS, takes};
use crate::value::Wrong;

/// How many times as large as the document a result may become. It is computed from the expression alone, so that one
/// which multiplies without end, such as `[@, @] | [@, @] | ...`, is refused when it is loaded.
const MAX_GROWTH: f64 = 1000.0;

/// # Errors
/// The expression can make a document more than [`MAX_GROWTH`] times as large, or calls a function as it cannot be
/// called.
pub fn check(ast: &Ast) -> Result<(), Wrong> {
    let peak = growth(ast)?.peak;
    if peak <= MAX_GROWTH {
        return Ok(());
    }
    let times = peak.min(1e9);
    Err(Wrong::new(format!(
        "this expression can make a document more than {MAX_GROWTH} times as large: {times:.0} times"
    )))
}

/// Upper bounds of how many times as large as its input something is.
#[derive(Clone, Copy)]
struct Growth {
    result: f64,
    /// The largest value on the way to the result.
    peak: f64,
}

/// # Errors
/// A function that does not exist, or takes another number of arguments.
fn growth(ast: &Ast) -> Result<Growth, Wrong> {
    let plain = |result: f64, of: &[Growth]| Growth {
        result,
        peak: of.iter().map(|g| g.peak).fold(result, f64::max),
    };
    let chained = |first: Growth, second: Growth| Growth {
        result: first.result * second.result,
        peak: first.peak.max(first.result * second.peak),
    };
    let sum = |of: &[Growth]| of.iter().map(|g| g.result).sum::<f64>().max(1.0);
    let all = |of: &mut dyn Iterator<Item = &Ast>| of.map(growth).collect::<Result<Vec<_>, _>>();
    Ok(match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => {
            plain(1.0, &[])
        }
        Ast::Literal { value, .. } => plain((value.to_string().len() as f64 / 16.0).max(1.0), &[]),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } => growth(node)?,
        Ast::Expref { .. } => {
            let names = TAKING_EXPRESSIONS.map(|name| format!("`{name}`"));
            let names = names.join(", ");
            return Err(Wrong::new(format!(
                "`&` stands before what {names} do with each item, and nowhere else"
            )));
        }
        Ast::Not { node, .. } => plain(1.0, &[growth(node)?]),
        Ast::Comparison { lhs, rhs, .. } => plain(1.0, &[growth(lhs)?, growth(rhs)?]),
        Ast::Condition {
            predicate, then, ..
        } => {
            let then = growth(then)?;
            plain(then.result, &[growth(predicate)?, then])
        }
        Ast::Or { lhs, rhs, .. } | Ast::And { lhs, rhs, .. } => {
            let (left, right) = (growth(lhs)?, growth(rhs)?);
            plain(left.result.max(right.result), &[left, right])
        }
        Ast::Subexpr { lhs, rhs, .. } | Ast::Projection { lhs, rhs, .. } => {
            chained(growth(lhs)?, growth(rhs)?)
        }
        Ast::MultiList { elements, .. } => {
            let parts = all(&mut elements.iter())?;
            plain(sum(&parts), &parts)
        }
        Ast::MultiHash { elements, .. } => {
            let parts = all(&mut elements.iter().map(|pair| &pair.value))?;
            plain(sum(&parts), &parts)
        }
        Ast::Function { name, args, .. } => {
            takes(name, args.len())?;
            let takes_expressions = TAKING_EXPRESSIONS.contains(&name.as_str());
            let parts = all(&mut args.iter().map(|arg| match arg {
                Ast::Expref { ast, .. } if takes_expressions => ast,
                arg => arg,
            }))?;
            match (name.as_str(), parts.as_slice()) {
                ("map", [each, list]) => chained(*list, *each),
                // Text is escaped once more, which can double it.
                ("to_string", _) => plain(2.0 * sum(&parts), &parts),
                // One of them stands between any two of the other.
                ("join", [between, list]) => chained(*list, *between),
                _ => plain(sum(&parts), &parts),
            }
        }
    })
}
