//! Every format of every answer type, on the hand-made answers of `sample`.

use super::curves::{CurvesReport, Section};
use super::lens::LensReport;
use super::pca::PcaReport;
use super::{Format, Report, Source, sample, text};
use crate::engine::protocol::{CurvesAnswer, LensAnswer, Measure, ModelInfo, PcaAnswer, Protocol, Style};
use serde_json::{Value, json};

/// Everything a report borrows.
struct World {
    model: ModelInfo,
    adapters: Vec<crate::engine::protocol::AdapterInfo>,
    lens: LensAnswer,
    curves: CurvesAnswer,
    pca: PcaAnswer,
}

impl World {
    fn new() -> Self {
        Self {
            model: sample::model(),
            adapters: sample::adapters(),
            lens: sample::lens(),
            curves: sample::curves(12, 2),
            pca: sample::pca(&["en", "de", "th", "sw"], 24, 2),
        }
    }
    fn source(&self) -> Source<'_> {
        Source { model: &self.model, adapters: &self.adapters }
    }
    fn lens(&self) -> LensReport<'_> {
        LensReport { source: self.source(), text: "评论: 很好 <b>&\u{1}", answer: &self.lens }
    }
    fn curves(&self, langs: &[&'static str]) -> CurvesReport<'_> {
        CurvesReport {
            source: self.source(),
            task: "sentiment",
            style: Style::Same,
            protocol: Protocol::Default,
            sections: langs.iter().map(|lang| Section { lang, answer: &self.curves }).collect(),
        }
    }
    fn pca(&self) -> PcaReport<'_> {
        PcaReport {
            source: self.source(),
            task: "sentiment",
            protocol: Protocol::Default,
            shared_fit: false,
            seed: 0,
            answer: &self.pca,
        }
    }
}

fn parse(report: &impl Report) -> Value {
    let text = report.json().unwrap();
    assert!(text.ends_with("}\n") || text.ends_with("]\n"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn lens_json_is_the_contracts() {
    let world = World::new();
    let v = parse(&world.lens());
    assert_eq!(v["schema"], "polylens.lens/1");
    assert_eq!(v["model"]["vocabulary"], 262_144);
    assert_eq!(v["model"]["logits_check"].to_string(), "0.000015");
    assert_eq!(v["tokens"][0], json!({"id": 2, "text": "<bos>"}));
    assert_eq!(v["runs"][0]["adapter"], Value::Null);
    assert!(v["runs"][0].as_object().unwrap().contains_key("adapter"));
    assert_eq!(v["runs"][1]["adapter"], "zh-es-en");
    let layer = &v["runs"][1]["layers"][18];
    assert_eq!(layer["layer"], 18);
    assert_eq!(layer["top"][0]["id"], 100);
    assert_eq!(layer["top"][0]["token"], "\u{e31}");
    assert_eq!(layer["tracked"]["积极"]["ids"], json!([5, 6]));
}

#[test]
fn numbers_survive_as_f32() {
    let world = World::new();
    let v = parse(&world.lens());
    for (run, json) in world.lens.runs.iter().zip(v["runs"].as_array().unwrap()) {
        for (layer, json) in run.layers.iter().zip(json["layers"].as_array().unwrap()) {
            assert_eq!(json["entropy_bits"].as_f64().unwrap() as f32, layer.entropy_bits);
            assert_eq!(json["kl_bits"].as_f64().map(|x| x as f32), layer.kl_bits);
            // The shortest text of an f32, not that of its f64 neighbour.
            assert!(json["top"][0]["p"].to_string().len() < 16, "{json}");
        }
    }
}

#[test]
fn curves_json_is_the_contracts() {
    let world = World::new();
    let v = parse(&world.curves(&["zh"]));
    assert_eq!(v["schema"], "polylens.curves/1");
    assert_eq!((&v["task"], &v["lang"], &v["style"]), (&json!("sentiment"), &json!("zh"), &json!("same")));
    assert_eq!(v["n"], 12);
    assert_eq!(v["token_sets"]["latent"], json!({"positive": [5, 50], "negative": [6]}));
    assert_eq!(v["token_sets"]["target"]["negative"], json!([8]));
    assert_eq!(v["removed"], json!({"positive": [3], "negative": [3, 9]}));
    let run = &v["runs"][0];
    assert_eq!(run["items"].as_array().unwrap().len(), 12);
    assert_eq!(run["items"][1]["gold"], "negative");
    let layer = &run["curves"][14];
    let values: Vec<f64> = (0..12).map(|i| run["items"][i]["layers"][14]["en"].as_f64().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 12.0;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 11.0).sqrt();
    assert!((layer["en"]["mean"].as_f64().unwrap() - mean).abs() < 1e-6);
    assert!((layer["en"]["ci95"].as_f64().unwrap() - 1.96 * sd / 12f64.sqrt()).abs() < 1e-6);
    for key in ["target", "all_possible_latent", "all_possible_out", "entropy_bits"] {
        assert!(layer[key]["mean"].is_number(), "{key}");
        assert!(run["items"][0]["layers"][14][key].is_number(), "{key}");
    }
}

#[test]
fn several_languages_are_an_array() {
    let world = World::new();
    let v = parse(&world.curves(&["zh", "th"]));
    assert_eq!(v.as_array().unwrap().len(), 2);
    assert_eq!(v[1]["lang"], "th");
}

#[test]
fn pca_json_is_the_contracts() {
    let world = World::new();
    let v = parse(&world.pca());
    assert_eq!(v["schema"], "polylens.pca/1");
    assert_eq!(v["langs"], json!(["en", "de", "th", "sw"]));
    assert_eq!((&v["n"], &v["pooling"]), (&json!(24), &json!("mean")));
    let layer = &v["runs"][1]["layers"][3];
    assert_eq!(layer["explained_variance_ratio"], json!([0.41, 0.163]));
    assert_eq!(layer["points"]["th"].as_array().unwrap().len(), 24);
    for measure in ["pearson", "cka", "cosine_gap", "mexa"] {
        assert!(layer[measure]["en-sw"].is_number(), "{measure}");
    }
    assert_eq!(layer["ci95"]["cka"]["en-de"].as_array().unwrap().len(), 2);
    assert!(layer["shuffled"]["mexa"]["en-de"].is_number());
}

#[test]
fn csv_is_rectangular() {
    let world = World::new();
    let reports: [(&dyn Report, usize, usize); 3] = [
        (&world.lens(), 7, 2 * 19 * (3 + 10 + 2)),
        (&world.curves(&["zh", "de"]), 9, 2 * 2 * 19 * 5),
        (&world.pca(), 9, 2 * 19 * (2 + 4 * 24 * 2 + 6 + 3 * 6)),
    ];
    for (report, columns, rows) in reports {
        let text = report.csv().unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), columns);
        assert_eq!(reader.records().collect::<Result<Vec<_>, _>>().expect("rectangular").len(), rows);
    }
}

#[test]
fn tables_fit_the_terminal() {
    let world = World::new();
    let reports: [&dyn Report; 3] = [&world.lens(), &world.curves(&["zh"]), &world.pca()];
    for (report, cells) in reports.iter().flat_map(|r| [(r, 80), (r, 120)]) {
        for line in report.text(cells).lines().filter(|l| l.starts_with(' ') || l.starts_with('─')) {
            assert!(text::width(line) <= cells, "{line}");
        }
    }
}

#[test]
fn text_shows_what_is_asked() {
    let world = World::new();
    let shown = world.lens().text(120);
    assert!(shown.contains("zh-es-en, the final top token is first on top at layer 12"), "{shown}");
    assert!(shown.contains("4 tokens: <bos> 评论 : \u{2581}很好"), "{shown}");
    assert!(shown.contains("p(积极)"), "{shown}");
    let shown = world.curves(&["zh"]).text(100);
    assert!(shown.contains("positive = 积极 (1 token, removed <0xE7>)"), "{shown}");
    assert!(shown.contains(" ±0.0"), "{shown}");
    assert!(world.pca().text(80).contains("r en-de"), "pairs in the paper's order");
}

#[test]
fn refused_languages_say_why() {
    let mut world = World::new();
    world.curves.runs.clear();
    world.curves.sets.refused = Some("the set of ม is empty".into());
    let report = world.curves(&["th"]);
    assert!(report.text(80).contains("not computed: the set of ม is empty"));
    assert!(report.markdown().contains("Not computed: the set of ม is empty"));
    assert_eq!(parse(&report)["refused"], "the set of ม is empty");
    assert!(report.picture().svg().contains("the set of ม is empty"));
}

#[test]
fn markdown_has_tables() {
    let world = World::new();
    for report in [&world.lens() as &dyn Report, &world.curves(&["zh"]), &world.pca()] {
        let text = report.markdown();
        assert!(text.starts_with("# "));
        assert!(text.contains("| ---: |"), "{text}");
        assert!(text.contains("gemma-3-270m"));
    }
}

/// Set POLYLENS_PICTURES to a directory to look at them.
#[test]
fn pictures_are_drawn() {
    let world = World::new();
    let mut one = World::new();
    one.curves = sample::curves(1, 1);
    one.pca = sample::pca(&crate_languages(), 10, 1);
    let with_pca = |langs: &[&str], runs| World { pca: sample::pca(langs, 10, runs), ..World::new() };
    let (two, seven) = (with_pca(&["en", "sw"], 1), with_pca(&crate_languages()[..7], 2));
    let (twenty, mut short) = (with_pca(&crate_languages(), 2), with_pca(&["en", "zh-Hant-HK", "de"], 2));
    for run in &mut short.pca.runs {
        run.layers.truncate(1);
    }
    let pictures: [(&str, &dyn Report); 9] = [
        ("lens", &world.lens()),
        ("curves", &world.curves(&["zh", "de"])),
        ("pca", &world.pca()),
        ("curves-one", &one.curves(&["sw"])),
        ("pca-twenty", &one.pca()),
        ("pca-two", &two.pca()),
        ("pca-seven", &seven.pca()),
        ("pca-twenty-two-runs", &twenty.pca()),
        ("pca-one-layer", &short.pca()),
    ];
    for (name, report) in pictures {
        let svg = String::from_utf8(report.render(Format::Svg).unwrap()).unwrap();
        resvg::usvg::roxmltree::Document::parse(&svg).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        let png = report.render(Format::Png).unwrap();
        let image = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
        let inked = image.pixels().iter().filter(|p| p.red() < 200).count();
        assert!(inked > 5000, "{name}: {inked}");
        if let Ok(dir) = std::env::var("POLYLENS_PICTURES") {
            std::fs::write(format!("{dir}/{name}.png"), png).unwrap();
        }
    }
}

#[test]
fn pca_text_has_the_intervals_where_they_fit() {
    let world = World::new();
    let m = |f: fn(&Measure) -> f64| {
        let cka = &world.pca.runs[1].layers[18].cka;
        cka.values().map(f).sum::<f64>() / cka.len() as f64
    };
    let (value, low, high) = (m(|m| m.value), m(|m| m.low), m(|m| m.high));
    let expected = format!("   18  {value:.3} [{low:.3}, {high:.3}]  0.020  ");
    let wide = world.pca().text(100);
    assert!(wide.contains("cos gap [95 %]  shuf."), "{wide}");
    assert_eq!(wide.lines().filter(|l| l.starts_with(&expected)).count(), 1, "{expected}\n{wide}");
    assert!(wide.lines().filter(|l| l.starts_with("  ")).all(|l| text::width(l) <= 100));
    let narrow = world.pca().text(80);
    assert!(!narrow.contains("[95 %]") && narrow.contains("cos gap"), "{narrow}");
}

#[test]
fn pca_markdown_has_a_matrix_a_measure() {
    let world = World::new();
    let text = world.pca().markdown();
    for name in ["Pearson r", "linear CKA", "cosine gap", "MEXA"] {
        assert_eq!(text.matches(&format!("### {name}, layer 18\n\n|  | en | de | th | sw |\n")).count(), 2);
    }
    let value = |run: usize| format!("{:.3}", world.pca.runs[run].layers[18].mexa["th-sw"].value);
    let after = |run: usize| text.split("### MEXA").nth(run + 1).unwrap().lines();
    for run in 0..2 {
        let row = after(run).find(|l| l.starts_with("| sw |")).unwrap();
        assert!(row.ends_with(&format!("| {} |  |", value(run))), "{row}");
    }
    assert_ne!(value(0), value(1));
}

#[test]
fn pca_picture_has_all_measures() {
    let mut world = World::new();
    world.pca.runs[1].layers[18].mexa.insert("en-sw".into(), Measure { value: 0.07, ..Measure::default() });
    let scene = world.pca().picture();
    let words = scene.words();
    for name in ["linear CKA", "cosine gap", "MEXA"] {
        // one panel of curves, one map a run, and the note on CKA and cosine gap
        assert!(words.matches(name).count() >= 3, "{name}");
        assert_eq!(words.matches(&format!("{name}, mean of 6 pairs")).count(), 1, "{name}");
    }
    assert!(words.contains("zh-es-en · layer 18"), "{words}");
    assert_eq!(words.matches(".07").count(), 2, "both halves of a map: {words}");
    assert!(words.contains("no intervals of the mean"));
    let svg = scene.svg();
    // a band and a control for each run and measure
    assert_eq!(svg.matches("fill-opacity=\"0.15\"").count(), 6);
    assert_eq!(svg.matches("<polyline").count(), 6 + 2 * 6 + 6);
}

#[test]
fn pca_of_one_language_has_no_measures() {
    let mut world = World::new();
    world.pca = sample::pca(&["en"], 12, 1);
    let report = world.pca();
    assert!(!report.text(120).contains("95 %") && !report.markdown().contains("###"));
    let scene = report.picture();
    assert!(!scene.words().contains("CKA"), "{}", scene.words());
    assert!(scene.size().1 < 500.0, "no room left for what is not there");
    report.render(Format::Png).unwrap();
}

fn crate_languages() -> Vec<&'static str> {
    "en zh de fr es it nl ja ru sv sl pl bg no ms is hi th sw bn".split(' ').collect()
}

#[test]
fn odd_numbers_do_not_break_pictures() {
    let mut world = World::new();
    for run in &mut world.pca.runs {
        for layer in &mut run.layers {
            layer.points.get_mut("en").unwrap()[0] = [f64::NAN, f64::INFINITY];
            layer.pearson.insert("en-de".into(), f64::NAN);
            let odd = Measure { value: f64::NAN, low: f64::NEG_INFINITY, high: 0.4, shuffled: f64::NAN };
            layer.cka.insert("en-de".into(), odd);
            layer.mexa.values_mut().for_each(|m| *m = odd);
            layer.cosine_gap.values_mut().for_each(|m| m.low = f64::NAN);
        }
    }
    world.curves.runs[0].items.clear();
    world.lens.runs[0].layers[3].entropy_bits = f32::NAN;
    for report in [&world.lens() as &dyn Report, &world.curves(&["zh"]), &world.pca()] {
        let svg = report.picture().svg();
        assert!(!svg.contains("\"NaN") && !svg.contains(",NaN") && !svg.contains("inf"));
        report.json().unwrap();
        report.render(Format::Png).unwrap();
    }
}
