//! The measures of alignment as reports show them: one value a pair of languages, and means over all pairs.

use super::table::{Align, Table};
use crate::engine::protocol::{Measure, PcaLayer, PcaRun};

pub use crate::engine::protocol::Alignment;

impl Alignment {
    /// Value, interval bounds and control, each averaged over all pairs at a layer. The bounds are the means of the
    /// pairs' bounds and no interval of the mean. `None` for Pearson, which has none, and where no pair has a value.
    pub fn mean(self, layer: &PcaLayer) -> Option<Measure> {
        let all = self.measures(layer)?;
        let of = |f: fn(&Measure) -> f64| {
            let (sum, n) = all
                .values()
                .map(f)
                .filter(|v| v.is_finite())
                .fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
            sum / n as f64
        };
        let mean = Measure {
            value: of(|m| m.value),
            low: of(|m| m.low),
            high: of(|m| m.high),
            shuffled: of(|m| m.shuffled),
        };
        mean.value.is_finite().then_some(mean)
    }

    /// How many pairs have a value at a layer (0 for Pearson).
    pub fn pairs(self, layer: &PcaLayer) -> usize {
        self.measures(layer).map_or(0, |all| all.values().filter(|m| m.value.is_finite()).count())
    }

    /// The finite value of a pair, whichever of the two languages comes first.
    pub fn value(self, layer: &PcaLayer, a: &str, b: &str) -> Option<f64> {
        let of = |pair: &str| self.of(layer, pair).map(|m| m.value);
        of(&format!("{a}-{b}")).or_else(|| of(&format!("{b}-{a}"))).filter(|v| v.is_finite())
    }

    /// A table of languages x languages at a layer, the diagonal left out.
    pub fn matrix(self, layer: &PcaLayer, langs: &[String]) -> Table {
        let columns = std::iter::once("").chain(langs.iter().map(String::as_str));
        let mut table =
            Table::new(columns.map(|c| (c, if c.is_empty() { Align::Left } else { Align::Right })));
        for a in langs {
            let cell = |b: &String| match self.value(layer, a, b) {
                _ if a == b => String::new(),
                Some(v) => format!("{v:.3}"),
                None => "n/a".into(),
            };
            table.row(std::iter::once(a.clone()).chain(langs.iter().map(cell)));
        }
        table
    }
}

/// Per layer and measure: mean, mean interval and mean control over all pairs. `None` where nothing is there to show.
pub fn intervals(run: &PcaRun) -> Option<Table> {
    let mut columns = vec![("layer".to_owned(), Align::Right)];
    for measure in Alignment::WITH_INTERVALS {
        columns.push((format!("{} [95 %]", measure.short()), Align::Right));
        columns.push(("shuf.".into(), Align::Right));
    }
    let mut table = Table::new(columns);
    let mut any = false;
    for layer in &run.layers {
        let mut row = vec![layer.layer.to_string()];
        for mean in Alignment::WITH_INTERVALS.map(|m| m.mean(layer)) {
            any |= mean.is_some();
            row.extend(match mean {
                Some(m) => {
                    [format!("{:.3} [{:.3}, {:.3}]", m.value, m.low, m.high), format!("{:.3}", m.shuffled)]
                }
                None => ["n/a".into(), String::new()],
            });
        }
        table.row(row);
    }
    any.then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn measure(value: f64) -> Measure {
        Measure { value, low: value - 0.2, high: value + 0.1, shuffled: value / 10.0 }
    }

    fn layer() -> PcaLayer {
        let map =
            |a: f64, b: f64| [("en-de", a), ("th-en", b)].map(|(p, v)| (p.to_owned(), measure(v))).into();
        PcaLayer {
            layer: 7,
            pearson: [("en-de".to_owned(), -0.5)].into(),
            cka: map(0.5, 0.9),
            cosine_gap: map(-0.1, f64::NAN),
            ..PcaLayer::default()
        }
    }

    fn close(m: Measure, expected: [f64; 4]) {
        for (a, b) in [m.value, m.low, m.high, m.shuffled].into_iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{m:?}");
        }
    }

    #[test]
    fn means_of_each_part() {
        close(Alignment::Cka.mean(&layer()).unwrap(), [0.7, 0.5, 0.8, 0.07]);
        close(Alignment::CosineGap.mean(&layer()).unwrap(), [-0.1, -0.3, 0.0, -0.01]);
        assert!(Alignment::Mexa.mean(&layer()).is_none());
        assert_eq!(Alignment::ALL.map(|m| m.pairs(&layer())), [0, 2, 1, 0]);
        assert!(Alignment::Pearson.mean(&layer()).is_none());
    }

    #[test]
    fn pairs_in_either_order() {
        let l = layer();
        assert_eq!(Alignment::Cka.value(&l, "en", "th"), Some(0.9));
        assert_eq!(Alignment::Cka.value(&l, "th", "en"), Some(0.9));
        assert_eq!(Alignment::Pearson.value(&l, "de", "en"), Some(-0.5));
        assert_eq!(Alignment::CosineGap.value(&l, "en", "th"), None);
        assert_eq!(Alignment::Cka.value(&l, "de", "th"), None);
    }

    #[test]
    fn matrix_is_symmetric_without_diagonal() {
        let langs = ["en", "de", "th"].map(String::from);
        assert_eq!(
            Alignment::Cka.matrix(&layer(), &langs).markdown(),
            "|  | en | de | th |\n| --- | ---: | ---: | ---: |\n| en |  | 0.500 | 0.900 |\n\
             | de | 0.500 |  | n/a |\n| th | 0.900 | n/a |  |\n"
        );
    }

    #[test]
    fn lines_of_a_run() {
        let run = PcaRun { run: None, layers: vec![layer()] };
        assert_eq!(
            intervals(&run).unwrap().text(100),
            "layer            CKA [95 %]  shuf.          cos gap [95 %]   shuf.  MEXA [95 %]  shuf.\n\
             ─────  ────────────────────  ─────  ──────────────────────  ──────  ───────────  ─────\n    \
             7  0.700 [0.500, 0.800]  0.070  -0.100 [-0.300, 0.000]  -0.010          n/a\n"
        );
        let bare = PcaRun { run: None, layers: vec![PcaLayer::default()] };
        assert!(intervals(&bare).is_none());
        let answer = sample::pca(&["en", "de", "th", "sw"], 24, 1);
        assert!(intervals(&answer.runs[0]).unwrap().width() <= 100);
    }
}
