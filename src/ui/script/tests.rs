use super::*;
use crate::app::KeyInput;
use std::time::Duration;

fn why(text: &str) -> String {
    Script::parse("a.script", text).unwrap_err().to_string()
}

#[test]
fn settings_and_steps() {
    let text = "title A tour\n# what it shows\nabout Two words.\nsize 120x40\nlang th\nstyle english\n\
                adapter a/b\nadapter c\n\nrecord\nkeys jj <enter><lt> <space>\ntype hi there\nuntil lens\n\
                until step 12 within 600\nsay 2.5 A caption here\nmark end\nspeed 4";
    let script = Script::parse("a.script", text).unwrap();
    assert_eq!((script.title.as_str(), script.about.as_str()), ("A tour", "Two words."));
    assert_eq!((script.size, script.lang.as_deref()), (Some((120, 40)), Some("th")));
    assert_eq!(script.adapters, ["a/b", "c"]);
    let steps: Vec<Step> = script.steps.iter().map(|(_, s)| s.clone()).collect();
    let key = KeyInput::char;
    let enter = KeyInput::parse("enter").unwrap();
    assert_eq!(steps[1], Step::Keys(vec![key('j'), key('j'), enter, key('<'), key(' ')]));
    assert_eq!(steps[2], Step::Type("hi there".into()));
    assert_eq!(steps[3], Step::Until(Until::Lens, Duration::from_secs(120)));
    assert_eq!(steps[4], Step::Until(Until::Step(12), Duration::from_secs(600)));
    assert_eq!(steps[5], Step::Note("A caption here".into(), Duration::from_millis(2500), true));
    assert_eq!(script.steps[1].0, 11, "the line in the file");
}

#[test]
fn what_means_nothing_is_named_with_its_line() {
    for (text, part) in [
        ("wait 1\nfly", "line 2: there is no \"fly\""),
        ("keys <entr>", "there is no key <entr>"),
        ("until dinner", "until dinner"),
        ("until step x", "\"x\" is no number"),
        ("wait long", "\"long\" is no time"),
        ("wait 1\nlang th", "line 2: lang says what the session begins with"),
        ("style loud", "style loud"),
        ("size 160", "\"160\" is no size"),
        ("say 3", "a caption needs"),
        ("speed 0", "\"0\" is no speed"),
        ("title x", "has no steps"),
        ("keys", "keys needs something"),
    ] {
        let said = why(text);
        assert!(said.contains(part), "{text:?}: {said}");
    }
    let long = "x".repeat(step::CAPTION + 1);
    assert!(why(&format!("say 3 {long}")).contains("at most 120 characters"));
}
