//! Every format of an evaluation, on the hand-made ones of `sample`.

use super::sample::{TWENTY, World};
use super::{EvalReport, blocks};
use crate::engine::protocol::{EvalRecord, Score};
use crate::eval::Table;
use crate::report::{Format, Report, text};
use serde_json::{Value, json};

const TWO: [&str; 2] = ["positive", "negative"];
const THREE: [&str; 3] = ["entailment", "neutral", "contradiction"];

fn twenty() -> Vec<&'static str> {
    TWENTY.split(' ').collect()
}

fn parse(report: &EvalReport) -> Value {
    serde_json::from_str(&report.json().unwrap()).unwrap()
}

/// Two items, one language, two runs: right and wrong for the base, right twice for the adapter.
fn golden() -> World {
    let mut world = World::new(&["en", "th"], &TWO, 2, 2, Score::PrefixSet);
    let p = [[[0.25f32, 0.5], [0.6, 0.1], [0.3, 0.2]], [[0.25, 0.5], [0.6, 0.1], [0.2, 0.3]]];
    for (r, slots) in p.iter().enumerate() {
        for (slot, p) in slots.iter().enumerate() {
            let run = world.table.runs[r];
            assert!(world.table.insert(EvalRecord {
                run,
                lang: 0,
                slot,
                p: p.to_vec(),
                ..EvalRecord::default()
            }));
        }
    }
    world.refuse(1, "ไม่ and ไ share their tokens & \"more\"");
    world
}

#[test]
fn json_is_the_contracts() {
    let world = golden();
    let v = parse(&world.report());
    assert_eq!(v["schema"], "polylens.eval/1");
    assert_eq!(
        (&v["task"], &v["style"], &v["score"]),
        (&json!("sentiment"), &json!("english"), &json!("prefix-set"))
    );
    let (base, tuned) = (&v["runs"][0], &v["runs"][1]);
    assert_eq!((&base["adapter"], &tuned["adapter"]), (&Value::Null, &json!("zh-es-en")));
    assert_eq!((&base["mean"], &tuned["mean"]), (&json!(0.5), &json!(1.0)));
    let en = &base["languages"]["en"];
    assert_eq!(
        (&en["n"], &en["correct"], &en["accuracy"], &en["ties"]),
        (&json!(2), &json!(1), &json!(0.5), &json!(0))
    );
    let item = &en["items"][1];
    assert_eq!(item["p"].to_string(), r#"{"negative":0.2,"positive":0.3}"#);
    assert_eq!(
        (&item["index"], &item["gold"], &item["predicted"]),
        (&json!(1), &json!("negative"), &json!("positive"))
    );
    // .3/.25 against .2/.5: the base's calibrated answer is also "positive"; the adapter's .2/.25 against .3/.5 too.
    assert_eq!(item["calibrated"], "positive");
    assert_eq!(tuned["languages"]["en"]["items"][1]["predicted"], "negative");
    assert_eq!(tuned["languages"]["en"]["items"][1]["calibrated"], "positive");
    assert_eq!(tuned["languages"]["en"]["calibrated_accuracy"], 0.5);
    assert_eq!(
        en["confusion"],
        json!({"positive": {"positive": 1, "negative": 0}, "negative": {"positive": 1, "negative": 0}})
    );
    assert_eq!(en["predicted_share"], json!({"positive": 1.0, "negative": 0.0}));
    assert_eq!(base["change"], Value::Null);
    let change = &tuned["languages"]["en"]["change"];
    assert_eq!(
        (&change["accuracy"], &change["gained"], &change["lost"], &change["mcnemar_p"]),
        (&json!(0.5), &json!(1), &json!(0), &json!(1.0))
    );
    assert_eq!(change["ci95"].as_array().unwrap().len(), 2);
    assert_eq!(v["languages_in_mean"], 1);
    assert_eq!(
        v["token_sets"]["en"]["positive"],
        json!({"word": "positive", "ids": [0, 10], "removed": [{"id": 7, "text": "t7"}]})
    );
    assert_eq!(
        (&v["seed"], &v["labels"], &v["fields"], &v["complete"]),
        (&json!(3), &json!(TWO), &json!(["input"]), &json!(true))
    );
}

#[test]
fn a_refused_language_is_absent_and_named() {
    let world = golden();
    let report = world.report();
    let v = parse(&report);
    assert!(v["runs"][0]["languages"].get("th").is_none());
    assert!(v["refused"]["th"].as_str().unwrap().contains("share their tokens"));
    for shown in [report.text(80), report.markdown(), report.tex().unwrap(), report.picture().svg()] {
        assert!(shown.contains("Not evaluated: th"), "{shown}");
    }
    assert!(!report.csv().unwrap().contains(",th,"));
    assert_eq!(
        report.caption(),
        "task sentiment, style english, score prefix-set, protocol default, 2 items in en"
    );
}

#[test]
fn equal_tables_are_equal_documents_up_to_the_last_two_lines() {
    let world = World::new(&["en", "zh"], &THREE, 9, 2, Score::Loglik);
    let one = world.report().json().unwrap();
    let other = EvalReport { elapsed_ms: None, computed: 0, ..world.report() }.json().unwrap();
    let lines = |t: &str| t.lines().rev().skip(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&one), lines(&other));
    assert!(one.ends_with("  \"elapsed_ms\": 1234.5,\n  \"computed\": 7\n}\n"), "{}", &one[one.len() - 80..]);
    assert!(other.ends_with("  \"elapsed_ms\": null,\n  \"computed\": 0\n}\n"));
}

#[test]
fn logliks_and_ties_are_in_the_items() {
    let mut world = World::new(&["en"], &THREE, 3, 1, Score::Loglik);
    let mut record = world.table.record(0, 0, 1).unwrap().clone();
    record.loglik.iter_mut().for_each(|l| l.sum = -2.5);
    world.table.insert(record);
    world.summarise();
    let v = parse(&world.report());
    let en = &v["runs"][0]["languages"]["en"];
    assert_eq!(en["ties"], 1);
    assert_eq!(en["items"][0]["loglik"]["neutral"], json!({"sum": -2.5, "tokens": 2, "bytes": 7}));
    assert_eq!(en["items"][0]["tie"], true);
    assert!(en["items"][1].get("tie").is_none());
    assert!(en["accuracy_per_token"].is_number() && en["accuracy_per_byte"].is_number());
    let prefix = World::new(&["en"], &TWO, 3, 1, Score::PrefixSet);
    let v = parse(&prefix.report());
    assert!(v["runs"][0]["languages"]["en"].get("accuracy_per_token").is_none());
    assert!(v["runs"][0]["languages"]["en"]["items"][0].get("loglik").is_none());
}

#[test]
fn an_unfinished_table_has_no_numbers_that_are_none() {
    let full = World::new(&twenty(), &TWO, 4, 2, Score::PrefixSet);
    let mut part = World::new(&twenty(), &TWO, 4, 2, Score::PrefixSet);
    part.table = Table::new(full.table.plan.clone(), full.table.sets.clone(), full.table.runs.clone());
    part.summarise();
    for (lang, slot) in [(None, 0), (Some(3), 2), (Some(3), 0), (Some(4), 1)] {
        if let Some(lang) = lang {
            part.table.insert(full.table.record(0, lang, slot).unwrap().clone());
            part.summarise();
        }
        let report = part.report();
        assert_eq!(parse(&report)["complete"], false);
        report.csv().unwrap();
        let svg = report.picture().svg();
        for shown in [report.text(80), report.markdown(), report.tex().unwrap(), svg, report.json().unwrap()]
        {
            assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
        }
        report.render(Format::Png).unwrap();
        assert!(report.text(80).contains("Unfinished: "));
    }
    let v = parse(&part.report());
    assert_eq!(v["runs"][0]["languages"].as_object().unwrap().len(), 2);
    assert_eq!(v["runs"][1]["mean"], Value::Null);
}

#[test]
fn csv_has_a_row_a_run_and_language() {
    let world = World::new(&["en", "zh", "sw"], &THREE, 6, 3, Score::Loglik);
    let text = world.report().csv().unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.len(), 21 + 1 + 3 + 3 + 9);
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rectangular");
    assert_eq!(rows.len(), 9);
    let get =
        |row: &csv::StringRecord, name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
    let cell = world.report().cell(1, 2).unwrap().clone();
    let row = &rows[5];
    assert_eq!((get(row, "run"), get(row, "lang")), ("zh-es-en".into(), "sw".into()));
    assert_eq!(get(row, "accuracy").parse::<f64>().unwrap(), cell.accuracy());
    assert_eq!(get(row, "change_low").parse::<f64>().unwrap(), cell.change.unwrap().low);
    assert_eq!(get(row, "gold_neutral_predicted_entailment"), cell.confusion[1][0].to_string());
    assert_eq!(get(&rows[0], "mcnemar_p"), "");
}

#[test]
fn the_papers_two_blocks() {
    let mut langs = twenty();
    langs.reverse();
    langs.insert(3, "yo");
    let world = World::new(&langs, &TWO, 5, 3, Score::PrefixSet);
    let all = blocks(&world.report(), 10);
    let columns: Vec<String> = all.iter().map(|b| b.columns.join(" ")).collect();
    assert_eq!(columns, ["en zh de fr es it nl ja ru sv", "sl pl bg no ms is hi th sw bn", "yo Avg"]);
    let names: Vec<&str> = all[0].rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["base", "zh-es-en", "change", "adapter-1", "change"]);
    for block in &all {
        for c in 0..block.columns.len() {
            let numbers = block.rows.iter().filter(|r| !r.change).map(|r| &r.cells[c]);
            let best = numbers.clone().map(|c| c.number.parse::<f64>().unwrap()).fold(0.0, f64::max);
            assert!(numbers.clone().any(|c| c.best));
            assert!(
                numbers.clone().all(|c| c.best == (c.number.parse::<f64>().unwrap() == best)),
                "ties all marked"
            );
        }
    }
    let one = World::new(&["en"], &TWO, 5, 1, Score::PrefixSet);
    assert!(
        blocks(&one.report(), 10)[0].rows.iter().flat_map(|r| &r.cells).all(|c| !c.best),
        "nothing to compare"
    );
}

#[test]
fn terminal_tables_fit_and_stand_in_blocks_of_ten_where_there_is_room() {
    let world = World::new(&twenty(), &TWO, 24, 3, Score::Loglik);
    for cells in [40, 80, 100, 160] {
        let shown = world.report().text(cells);
        assert!(shown.lines().all(|l| text::width(l) <= cells), "{cells}\n{shown}");
        if let Ok(dir) = std::env::var("POLYLENS_PICTURES") {
            std::fs::write(format!("{dir}/eval-{cells}.txt"), &shown).unwrap();
        }
    }
    let wide = world.report().text(120);
    let heads: Vec<Vec<&str>> = wide
        .lines()
        .map(|l| l.split_whitespace().collect())
        .filter(|l: &Vec<&str>| l.first() == Some(&"en") && l.len() == 10)
        .collect();
    assert_eq!(heads.len(), 1, "{wide}");
    assert!(wide.contains("zh-es-en against base: "), "{wide}");
}

#[test]
fn golden_text() {
    let world = golden();
    let shown = world.report().text(80);
    let table: Vec<&str> =
        shown.lines().skip_while(|l| !l.is_empty()).take_while(|l| !l.contains("against")).collect();
    assert_eq!(
        table,
        [
            "",
            "             en     Avg",
            "────────  ─────   ─────",
            "base       50.0    50.0",
            "zh-es-en  100.0*  100.0*",
            "  change  +50.0   +50.0",
            "",
        ],
        "{shown}"
    );
}

#[test]
fn markdown_marks_and_escapes() {
    let mut world = World::new(&["en", "zh"], &TWO, 30, 2, Score::PrefixSet);
    world.adapters[0].name = "a|b*c_d".into();
    let shown = world.report().markdown();
    assert!(shown.starts_with("# Evaluation: sentiment\n"));
    assert!(shown.contains("|  | en | zh | Avg |\n| --- | ---: | ---: | ---: |\n| base | "), "{shown}");
    assert!(shown.contains("a\\|b\\*c\\_d") && shown.contains("**"), "{shown}");
    assert!(shown.contains("| → positive |"), "{shown}");
    for table in shown.split("\n\n").filter(|p| p.starts_with('|')) {
        let pipes = |l: &str| l.replace("\\|", "").matches('|').count();
        assert!(table.lines().all(|l| pipes(l) == pipes(table.lines().next().unwrap())), "{table}");
    }
}

#[test]
fn tex_is_a_whole_table_of_escaped_text() {
    let mut world = World::new(&twenty(), &TWO, 24, 2, Score::PrefixSet);
    world.adapters[0].name = "[a_b%c&d#e{f}g~h^i\\j$k--l\nm".into();
    let shown = world.report().tex().unwrap();
    let name =
        "{[}a\\_b\\%c\\&d\\#e\\{f\\}g\\textasciitilde{}h\\textasciicircum{}i\\textbackslash{}j\\$k-{}-l m";
    assert!(shown.contains(&format!("\n{name} & ")), "{shown}");
    assert!(shown.starts_with("% Needs \\usepackage{booktabs}"), "{shown}");
    let body = shown.find("\\begin{table}[t]\n").unwrap();
    assert!(shown[..body].lines().all(|l| l.starts_with('%')), "{shown}");
    assert!(
        shown.ends_with("\\label{tab:gemma-3-270m-sentiment-english-prefix-set}\n\\end{table}\n"),
        "{shown}"
    );
    assert_eq!(shown.matches("\\toprule").count() + shown.matches("\\bottomrule").count(), 2);
    assert!(shown.contains("\\begin{tabular}{l*{11}{r}}"), "{shown}");
    // Unescaped braces are balanced, and no row has more cells than the table has columns.
    let bare = shown.replace("\\\\", "").replace("\\{", "").replace("\\}", "");
    assert_eq!(bare.matches('{').count(), bare.matches('}').count());
    for row in shown.lines().filter(|l| l.ends_with("\\\\")) {
        let cells = row.replace("\\&", "").matches(" & ").count();
        assert!(cells == 10 || cells == 11, "{row}");
    }
    assert!(shown.contains("\\textbf{"), "{shown}");
    if let Ok(dir) = std::env::var("POLYLENS_PICTURES") {
        std::fs::write(format!("{dir}/eval.tex"), &shown).unwrap();
    }
}

#[test]
fn only_an_evaluation_has_a_tex_form() {
    let world = golden();
    assert!(world.report().render(Format::Tex).is_ok());
    let answer = crate::report::sample::lens();
    let lens = crate::report::lens::LensReport { source: world.report().source, text: "t", answer: &answer };
    assert_eq!(lens.render(Format::Tex).unwrap_err().exit_code(), 2);
}

/// Set POLYLENS_PICTURES to a directory to look at them.
#[test]
fn pictures_are_drawn() {
    for (langs, labels, runs) in [
        (vec!["en"], &TWO[..], 1),
        (vec!["en"], &THREE[..], 2),
        (vec!["en", "zh", "sw"], &THREE[..], 2),
        (twenty(), &TWO[..], 1),
        (twenty(), &TWO[..], 2),
        (twenty(), &THREE[..], 4),
    ] {
        let mut world = World::new(&langs, labels, 48, runs, Score::PrefixSet);
        if langs.len() > 1 {
            world.refuse(langs.len() - 1, "all tokens of \"hapana\" and \"ndiyo\" are shared");
        }
        let report = world.report();
        let svg = report.picture().svg();
        resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let png = report.render(Format::Png).unwrap();
        let image = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
        // Base bars are there, and reach the axis.
        let grey =
            image.pixels().iter().filter(|p| (p.red(), p.green(), p.blue()) == (0x8d, 0x94, 0x9b)).count();
        assert!(grey > 2000, "{grey}");
        if let Ok(dir) = std::env::var("POLYLENS_PICTURES") {
            let name = format!("{dir}/eval-{}-{}-{runs}.png", langs.len(), labels.len());
            std::fs::write(name, png).unwrap();
        }
    }
}

#[test]
fn no_language_at_all_is_said_and_not_a_panic() {
    let mut world = World::new(&["th"], &TWO, 2, 2, Score::PrefixSet);
    world.refuse(0, "no token of its own");
    let report = world.report();
    assert!(
        report.text(80).contains("no language") && report.text(80).contains("n/a"),
        "{}",
        report.text(80)
    );
    assert_eq!(parse(&report)["runs"][0]["languages"], json!({}));
    for format in Format::ALL {
        report.render(format).unwrap();
    }
}
