use super::*;

#[test]
fn all_heads_together_are_one_list() {
    let many = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("k{n}=v")).collect();
        members.join(",")
    };
    let longest = |more| "k".repeat(LONGEST + more);
    let cases = [
        (vec!["foo=1".to_owned()], true),
        (vec!["foo=1".into(), "bar=2".into()], true),
        (vec!["foo=1,bar=2".into()], true),
        (vec!["foo=1 \t , \t bar=2, \t baz=3".into()], true),
        (vec!["foo=1,".into(), "".into(), ",bar=2".into()], true),
        (vec!["foo=1,foo=1".into()], true),
        (vec!["foo=a b".into()], true),
        (vec!["foo=  b".into()], true),
        (vec!["tenant@vendor=1".into(), "0a@v=1".into()], true),
        (vec!["a_-*/9=~!".into()], true),
        (vec![format!("{}=1", longest(0))], true),
        (vec![format!("a={}", longest(0))], true),
        (vec![many(32)], true),
        (vec![many(16), many(16)], true),
        (vec![many(32), ",".into()], true),
        (vec![many(33)], false),
        (vec![many(16), many(17)], false),
        (vec![], false),
        (vec!["".into()], false),
        (vec![" , ".into()], false),
        (vec!["foo".into()], false),
        (vec!["foo=".into()], false),
        (vec!["=1".into()], false),
        (vec!["foo=1,bar".into()], false),
        (vec!["foo=1".into(), "bar".into()], false),
        (vec!["foo=bar=baz".into()], false),
        (vec!["foo=,bar=3".into()], false),
        (vec!["foo =1".into()], false),
        (vec!["Foo=1".into()], false),
        (vec!["foo.bar=1".into()], false),
        (vec!["_foo=1".into()], false),
        (vec!["@foo=1".into()], false),
        (vec!["foo=\u{7f}".into()], false),
        (vec!["foo=\t1".into()], false),
        (vec!["foo=é".into()], false),
        (vec![format!("{}=1", longest(1))], false),
        (vec![format!("a={}", longest(1))], false),
    ];
    for (values, is_valid) in cases {
        let bytes = values.iter().map(String::as_bytes);
        assert_eq!(is_state(bytes), is_valid, "{values:?}");
    }
}
