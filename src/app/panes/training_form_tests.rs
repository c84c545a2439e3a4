use super::*;
use crate::app::panes::fixtures::{FakeLibrary, shared};

#[test]
fn the_default_is_the_papers_run_on_the_tasks_questions() {
    let form = Form::default();
    let request = form.request(&shared(2, &[])).unwrap();
    assert_eq!(request.settings, TrainSettings::default());
    assert_eq!((request.out.as_path(), request.resume), (Path::new("runs/zh+es-en-1"), false));
    let task = |source: &str| TrainData::Task {
        task: "sentiment".into(),
        source: source.into(),
        target: "en".into(),
        limit: None,
    };
    assert_eq!(request.data, [task("zh"), task("es")]);
    assert_eq!(form.preset(), Some(Preset::Paper));
}

#[test]
fn presets_change_the_settings_and_nothing_else() {
    let shared = shared(2, &[]);
    let mut form = Form::default();
    form.put(Field::Out, "here");
    form.put(Field::Rank, "0");
    assert!(form.request(&shared).is_err_and(|(f, words)| f == Field::Rank && words.contains("from 1")));
    assert_eq!(form.preset(), None);
    form.set(Preset::Quick);
    let request = form.request(&shared).unwrap();
    assert_eq!((request.settings.max_steps, request.out.as_path()), (Some(30), Path::new("here")));
    assert_eq!(form.preset(), Some(Preset::Quick));
}

#[test]
fn languages_must_differ_and_be_the_tasks() {
    let without = Shared { library: std::sync::Arc::new(FakeLibrary::new(2, &["sw"])), ..shared(2, &[]) };
    let mut form = Form { sources: Chosen::of(&["en", "zh"]), ..Form::default() };
    assert_eq!(form.from(&*without.library), ["zh"], "the target is none of the sources");
    form.sources = Chosen::of(&["sw"]);
    assert!(form.fault(Field::Sources, &without).unwrap().contains("no questions in sw"));
    form.sources = Chosen::of(&[]);
    assert!(form.fault(Field::Sources, &without).unwrap().contains("Enter opens the list"));
    // Files bring their own languages.
    form.put(Field::Data, "sw=a.json");
    assert_eq!(form.fault(Field::Sources, &without), None);
    assert_eq!(form.out(&*without.library), Path::new("runs/files-1"));
}

#[test]
fn a_name_that_is_taken_is_not_offered() {
    let shared = shared(2, &[]);
    let mut form = Form { existing: vec!["runs/zh+es-en-1/".into()], ..Form::default() };
    form.take_name(Path::new("runs/zh+es-en-2"));
    assert_eq!(form.out(&*shared.library), Path::new("runs/zh+es-en-3"));
    for code in ["de", "fr"] {
        form.sources.toggle(code);
    }
    assert_eq!(form.out(&*shared.library), Path::new("runs/zh+de+2-en-1"));
}

#[test]
fn modules_stay_in_order_and_one_is_needed() {
    let mut form = Form { selected: Field::Modules, ..Form::default() };
    form.sideways(1);
    form.toggle_module();
    assert_eq!(form.modules, ["q_proj", "k_proj", "v_proj"]);
    form.modules.clear();
    assert!(form.settings().is_err_and(|(field, _)| field == Field::Modules));
}

#[test]
fn the_selection_walks_rows_and_columns() {
    let mut form = Form::default();
    form.step(1);
    form.sideways(1);
    assert_eq!(form.selected, Field::Pairs);
    form.step(1);
    assert_eq!(form.selected, Field::Data);
    form.step(99);
    assert_eq!(form.selected, Field::Frames);
    form.step(-99);
    assert_eq!(form.selected, Field::Sources);
}

#[test]
fn values_step_to_round_ones_and_stay_allowed() {
    let step = |text: &str, up| stepped(text, up).unwrap();
    assert_eq!((step("5e-5", true), step("5e-5", false)), ("1e-4".into(), "2e-5".into()));
    assert_eq!(
        (step("1e-4", false), step("8", true), step("10 %", true)),
        ("5e-5".into(), "16".into(), "15 %".into())
    );
    assert_eq!((step("3", false), step("1", false), step("0", true)), ("2".into(), "0".into(), "1".into()));
    assert_eq!(stepped("", true), None);
    let shared = shared(2, &[]);
    let mut form = Form { selected: Field::Rank, ..Form::default() };
    for _ in 0..40 {
        form.change(true, &shared);
    }
    assert_eq!(form.text(Field::Rank), "4096", "the largest that is allowed");
    form.selected = Field::Schedule;
    assert!(form.change(false, &shared) && form.schedule == Schedule::Constant);
}

#[test]
fn frames_follow_the_length_of_the_run() {
    let mut form = Form { last_total: Some(400), ..Form::default() };
    assert_eq!(form.every(), 20);
    form.last_total = Some(7);
    assert_eq!(form.every(), 1);
    form.put(Field::Frames, "0");
    assert_eq!(form.every(), 0);
}

#[test]
fn more_at_once_than_a_batch_is_refused() {
    let mut form = Form::default();
    form.put(Field::Micro, "32");
    assert!(
        form.settings().is_err_and(|(field, words)| field == Field::Micro && words.contains("at most 16"))
    );
}
