//! The app by typed keys: what they lead to, with a scripted engine.

use super::model::{Found, Stage};
use super::panes::query::Source;
use super::testing::{Bench, LAYERS};
use super::*;
use crate::engine::protocol::*;

fn commands(effects: &[Effect]) -> Vec<&Command> {
    effects.iter().filter_map(|e| if let Effect::Engine(c) = e { Some(c) } else { None }).collect()
}

/// Presses keys on the app alone and returns what it wants done.
fn press(app: &mut App, keys: &str, now: u64) -> Vec<Effect> {
    let keys = keys::parse_keys(keys);
    keys.into_iter().flat_map(|k| app.update(Msg::Key(k), Duration::from_millis(now))).collect()
}

#[test]
fn keys_go_to_panes_and_move_in_them() {
    let mut bench = Bench::ready(80, 24);
    assert_eq!((bench.app.focus, bench.app.lens.layer(&bench.app.shared)), (PaneId::Lens, LAYERS));
    bench.keys("jjj");
    assert_eq!(bench.app.lens.layer(&bench.app.shared), LAYERS - 3);
    bench.keys("G");
    assert_eq!(bench.app.lens.layer(&bench.app.shared), 0);
    bench.keys("gk");
    assert_eq!(bench.app.lens.selected, None, "the output is followed");
    bench.keys("3j<Tab>");
    assert_eq!(bench.app.focus, PaneId::Pca);
    bench.keys("<S-tab><S-tab>");
    assert_eq!(bench.app.focus, PaneId::Lens);
    bench.keys("z");
    assert!(bench.app.zoomed);
    bench.keys("<esc>");
    assert!(!bench.app.zoomed);
}

#[test]
fn a_change_of_the_query_asks_at_once_and_only_the_latest_answer_counts() {
    let mut bench = Bench::ready(80, 24);
    bench.hold = true;
    bench.keys("]");
    let first = bench.app.lens.job.expect("asked");
    let old = std::mem::take(&mut bench.held);
    assert_eq!(bench.app.shared.lang, "sw");
    bench.keys("n");
    let second = bench.app.lens.job.expect("asked again");
    assert!(second > first);
    for event in old {
        bench.send(Msg::Engine(event));
    }
    assert_eq!(bench.app.lens.done(), 0, "the older job's layers are dropped");
    bench.release(usize::MAX);
    assert_eq!((bench.app.lens.done(), bench.app.lens.job), (LAYERS + 1, None));
}

#[test]
fn layers_fill_from_the_embedding_upwards() {
    let mut bench = Bench::ready(80, 24);
    bench.hold = true;
    bench.keys("n");
    bench.release(1);
    for expected in [3, 6, 9] {
        bench.release(1);
        assert_eq!(bench.app.lens.done(), expected);
        let run = &bench.app.lens.runs[&None];
        assert_eq!(run.layer(expected - 1).map(|(_, fresh)| fresh), Some(true));
        assert_eq!(run.layer(expected).map(|(_, fresh)| fresh), Some(false), "the old row stays, dimmed");
    }
}

#[test]
fn every_language_item_and_style_makes_a_query() {
    let mut bench = Bench::ready(80, 24);
    for _ in 0..20 {
        for _ in 0..3 {
            bench.keys("S");
            let c = bench.app.shared.query.comparison.clone().expect("a task's query");
            assert_eq!(c.english, ["positive", "negative"]);
            let english = bench.app.shared.lang == "en" && bench.app.shared.style == Style::Same;
            assert_eq!(c.same_language, english || bench.app.shared.style == Style::English);
        }
        bench.keys("]n");
    }
    assert_eq!((bench.app.shared.lang.as_str(), bench.app.shared.item), ("th", 20));
    bench.keys("ppp");
    assert_eq!(bench.app.shared.item, 17);
}

#[test]
fn typing_is_answered_after_a_pause() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("f");
    assert!(bench.app.query.editing && bench.app.query.source == Source::Free);
    bench.keys("สวัสดี");
    assert_eq!(bench.app.shared.query.comparison.as_ref().map(|_| ()), None);
    assert_eq!(bench.app.shared.query.text, "", "not asked about yet");
    assert!(bench.app.wake().is_some());
    bench.wait(81);
    assert_eq!(bench.app.shared.query.text, "สวัสดี");
    bench.keys("q<esc>");
    assert_eq!(bench.app.shared.query.text, "สวัสดีq", "leaving the field asks at once");
    bench.keys("f");
    assert!(bench.app.shared.query.comparison.is_some(), "back to the item");
}

#[test]
fn an_item_can_be_edited_and_keeps_its_comparison() {
    let mut bench = Bench::ready(80, 24);
    let own = bench.app.shared.query.text.clone();
    bench.keys("e!");
    bench.wait(100);
    assert_eq!(bench.app.shared.query.text, format!("{own}!"));
    assert!(bench.app.shared.query.comparison.is_some() && bench.app.query.edited.is_some());
    bench.keys("<backspace><esc>");
    assert!(bench.app.query.edited.is_none(), "left as it was");
    bench.keys("e!!<esc>n");
    assert!(bench.app.query.edited.is_none(), "another item is not edited");
}

#[test]
fn pasted_text_becomes_the_prompt() {
    let mut bench = Bench::ready(80, 24);
    bench.send(Msg::Paste("เมืองหลวงของไทย\r\nคือ".into()));
    bench.wait(100);
    assert_eq!(bench.app.shared.query.text, "เมืองหลวงของไทย\nคือ");
    bench.keys("L");
    bench.send(Msg::Paste("中文\n".into()));
    bench.keys("<enter>");
    assert_eq!(bench.app.shared.lang, "zh");
}

#[test]
fn pickers_choose_by_code_name_or_own_name() {
    for (typed, code) in [("hi", "hi"), ("swahili", "sw"), ("ไทย", "th"), ("русский", "ru"), ("中文", "zh")]
    {
        let mut bench = Bench::ready(80, 24);
        bench.keys(&format!("L{typed}<enter>"));
        assert_eq!(bench.app.shared.lang, code, "{typed}");
        assert!(bench.app.overlay.is_none());
    }
    let mut bench = Bench::ready(80, 24);
    bench.keys("i<down><down><enter>");
    assert_eq!(bench.app.shared.item, 2);
}

#[test]
fn escape_goes_back_one_step_at_a_time() {
    let mut bench = Bench::with_adapter(120, 40);
    bench.wait(10_000);
    bench.keys("zd<enter>Lxyz");
    bench.keys("<esc>");
    assert!(bench.app.overlay.is_some(), "the filter first");
    bench.keys("<esc>");
    assert!(bench.app.overlay.is_none() && bench.app.lens.detail.is_some());
    bench.keys("<esc>");
    assert!(bench.app.lens.detail.is_none() && bench.app.lens.difference);
    bench.keys("<esc>");
    assert!(!bench.app.lens.difference && bench.app.zoomed);
    bench.keys("<esc>");
    assert!(!bench.app.zoomed && !bench.app.quitting());
}

#[test]
fn control_c_always_quits_and_q_only_where_it_is_no_text() {
    for before in ["", "L", "?", ":", "e", "w", "fabc"] {
        let mut bench = Bench::ready(80, 24);
        bench.keys(before);
        bench.keys("<C-c>");
        assert!(bench.app.quitting(), "after {before:?}");
    }
    let mut bench = Bench::ready(80, 24);
    bench.keys("eq<esc>");
    assert!(!bench.app.quitting());
    bench.keys("q");
    assert!(bench.app.quitting() && bench.effects.contains(&Effect::Quit));
    let mut small = Bench::ready(20, 5);
    small.keys("jq");
    assert!(small.app.quitting());
}

#[test]
fn a_model_that_is_not_cached_is_offered_fetched_and_loaded() {
    let mut bench = Bench::new(80, 24);
    assert_eq!(bench.effects, [Effect::FindModel("gemma-3-270m".into())]);
    bench.found(Ok(Found::Fetchable { from: "the hub".into(), bytes: 5 }));
    assert!(matches!(bench.app.model.stage, Stage::Offer { bytes: 5, .. }));
    // Everything that needs no model works meanwhile.
    bench.keys("]i<down><enter>1x2");
    assert_eq!((bench.app.shared.lang.as_str(), bench.app.shared.item), ("sw", 1));
    assert!(bench.app.shared.query.comparison.is_some());
    bench.keys("<enter>");
    assert!(bench.app.shared.model.is_some(), "fetched, then loaded");
    assert_eq!(bench.app.lens.done(), LAYERS + 1, "and asked");
}

#[test]
fn a_load_that_fails_says_why_and_can_be_tried_again() {
    let mut bench = Bench::new(80, 24);
    bench.hold = true;
    bench.found(Ok(Found::Here));
    let job = bench.app.model.job().expect("loading");
    bench.held.clear();
    bench.send(Msg::Engine(Event::Failed { job, message: "model.gguf is cut off.".into() }));
    assert!(
        matches!(&bench.app.model.stage, Stage::Failed { message, .. } if message == "model.gguf is cut off.")
    );
    bench.keys("<enter>");
    assert_eq!(bench.effects.last(), Some(&Effect::FindModel("gemma-3-270m".into())));
}

#[test]
fn with_a_model_in_use_a_failure_to_load_another_keeps_it() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("m/no/such<enter>");
    bench.send(Msg::ModelFound { name: "/no/such".into(), found: Err("/no/such is not there.".into()) });
    assert!(bench.app.shared.model.is_some());
    assert_eq!(bench.app.messages.current().map(|m| m.text.as_str()), Some("/no/such is not there."));
    bench.keys("D");
    assert!(bench.app.messages.current().is_none());
}

#[test]
fn another_model_can_be_fetched_while_one_is_in_use() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("msmollm2-135m<enter>");
    let found = Ok(Found::Fetchable { from: "the hub".into(), bytes: 145_000_000 });
    bench.send(Msg::ModelFound { name: "smollm2-135m".into(), found });
    let offer = bench.app.messages.current().expect("an offer").text.clone();
    assert!(offer.contains("smollm2-135m") && offer.contains("145 MB"), "{offer}");
    bench.keys("F");
    assert_eq!(bench.app.shared.model.as_ref().map(|m| m.name.as_str()), Some("smollm2-135m"));
    assert!(bench.app.messages.current().is_none_or(|m| m.text != offer));
}

#[test]
fn adapters_are_loaded_shown_hidden_and_dropped() {
    let mut bench = Bench::with_adapter(120, 40);
    assert_eq!(bench.app.shared.runs(), [None, Some(0)]);
    assert_eq!(bench.app.lens.runs.len(), 2);
    bench.keys("A");
    assert_eq!(bench.app.shared.runs(), [None]);
    bench.keys("Aa/tmp/second<enter>");
    assert_eq!(bench.app.shared.runs(), [None, Some(0), Some(1)]);
    bench.keys("a<enter><esc>");
    assert_eq!(bench.app.shared.runs(), [None, Some(1)]);
    bench.keys("a<C-x><esc>");
    assert_eq!(
        (bench.app.shared.runs(), bench.app.shared.run_name(Some(1))),
        (vec![None, Some(1)], "second")
    );
    assert_eq!(bench.app.lens.done(), LAYERS + 1);
}

#[test]
fn adapters_of_the_command_line_wait_for_the_model() {
    let mut bench = Bench::new(80, 24);
    bench.app.model.pending = vec!["/tmp/one".into(), "/tmp/two".into()];
    bench.found(Ok(Found::Here));
    assert_eq!(bench.app.shared.runs(), [None, Some(0), Some(1)]);
    assert_eq!(bench.app.lens.runs.len(), 3);
}

#[test]
fn an_opened_layer_asks_for_its_sublayers_and_follows_the_selection() {
    let mut bench = Bench::with_adapter(120, 40);
    bench.keys("j<enter>");
    let cells =
        |b: &Bench| b.app.lens.detail.as_ref().map(|d| d.cells.values().map(|c| c.layer).collect::<Vec<_>>());
    assert_eq!(cells(&bench), Some(vec![LAYERS - 1, LAYERS - 1]));
    bench.keys("j");
    assert_eq!(cells(&bench), Some(vec![LAYERS - 2, LAYERS - 2]));
    bench.keys("n");
    assert_eq!(cells(&bench), Some(vec![LAYERS - 2, LAYERS - 2]), "asked again for the new item");
}

#[test]
fn copying_and_writing_take_the_focused_panes_data() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("y");
    assert!(matches!(bench.effects.last(), Some(Effect::Copy(text)) if text.starts_with("layer 18\tbase\t")));
    bench.keys("w<C-u>out.json<enter>");
    let Some(Effect::Save { path, text }) = bench.effects.last() else {
        panic!("{:?}", bench.effects.last())
    };
    assert_eq!(path, &PathBuf::from("out.json"));
    let data: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(data["runs"][0]["layers"].as_array().map(Vec::len), Some(LAYERS + 1));
    bench.send(Msg::Saved(Err("out.json is there already.".into())));
    assert!(bench.app.messages.current().is_some());
}

#[test]
fn the_mouse_focuses_selects_and_scrolls() {
    let mut bench = Bench::ready(120, 40);
    let layout = bench.app.layout().expect("large enough");
    let lens = layout.pane(PaneId::Lens).expect("on screen").inner();
    let click = |x, y| Msg::Mouse { x, y, kind: MouseKind::Click };
    bench.send(click(lens.x + 5, lens.y + 4));
    assert_eq!(bench.app.lens.layer(&bench.app.shared), LAYERS - 3);
    bench.send(Msg::Mouse { x: lens.x + 5, y: lens.y + 4, kind: MouseKind::WheelDown });
    assert_eq!(bench.app.lens.layer(&bench.app.shared), LAYERS - 4);
    bench.send(click(layout.pane(PaneId::Query).expect("on screen").x + 3, 4));
    assert_eq!(bench.app.focus, PaneId::Query);
    let (pane, from, _) = layout::tab_spans().nth(3).expect("five tabs");
    bench.send(click(from, layout.tabs.y));
    assert_eq!(bench.app.focus, pane);
    bench.keys("L");
    bench.send(click(0, 0));
    assert!(bench.app.overlay.is_none(), "a click beside it closes a list");
}

#[test]
fn completions_extend_what_was_typed() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("a/tmp/ru<tab>");
    assert_eq!(bench.effects.last(), Some(&Effect::Complete("/tmp/ru".into())));
    let candidates = vec!["/tmp/run-a/".into(), "/tmp/run-b/".into()];
    bench.send(Msg::Completions { typed: "/tmp/ru".into(), candidates });
    bench.keys("b<tab>");
    assert_eq!(bench.effects.last(), Some(&Effect::Complete("/tmp/run-b".into())));
}

#[test]
fn a_cancelled_query_keeps_the_old_rows() {
    let mut bench = Bench::ready(80, 24);
    bench.hold = true;
    bench.keys("n");
    bench.held.clear();
    bench.hold = false;
    bench.keys("X");
    assert!(bench.app.lens.job.is_none() && bench.app.lens.error.is_some());
    assert!(bench.app.lens.runs[&None].layer(LAYERS).is_some());
}

#[test]
fn the_palette_reaches_every_action_of_another_pane() {
    let mut bench = Bench::ready(80, 24);
    bench.keys(":logarithmic<enter>");
    assert_eq!(bench.app.focus, PaneId::Training);
    bench.keys("2:theme<enter>");
    assert_eq!(bench.app.theme, ThemeKind::Light);
}

#[test]
fn the_last_typed_key_is_never_lost() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("f");
    for i in 0..30 {
        let effects = press(&mut bench.app, "x", 1000 + i * 50);
        assert!(commands(&effects).is_empty(), "typing on does not queue work");
    }
    let effects = bench.app.update(Msg::Tick, Duration::from_millis(1000 + 29 * 50 + 80));
    assert!(matches!(commands(&effects)[..], [Command::Lens { query, .. }] if query.text.len() == 30));
}
