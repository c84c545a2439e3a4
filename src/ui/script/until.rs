//! What a script waits for.

use crate::app::{App, PaneId};

/// A state of the explorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A model is in use, and every adapter that was asked for.
    Model,
    Lens,
    Grid,
    Pca,
    Eval,
    /// The training run has ended.
    Training,
    /// The run has done so many steps.
    Step(u64),
    /// The plan of the run in the form is there.
    Plan,
    /// Nothing is computed but a training run.
    Quiet,
}

impl Until {
    /// Reads the words after `until`.
    ///
    /// # Errors
    /// A sentence: there is no such state.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        Ok(match words {
            ["model" | "adapter"] => Self::Model,
            ["lens"] => Self::Lens,
            ["grid"] => Self::Grid,
            ["pca"] => Self::Pca,
            ["eval"] => Self::Eval,
            ["training"] => Self::Training,
            ["plan"] => Self::Plan,
            ["quiet"] => Self::Quiet,
            ["step", n] => Self::Step(n.parse().map_err(|_| format!("{n:?} is no number of steps"))?),
            other => {
                return Err(format!(
                    "until {}: it waits for model, adapter, lens, grid, pca, eval, plan, training, step N or quiet",
                    other.join(" ")
                ));
            }
        })
    }

    /// Whether it is so.
    pub fn holds(self, app: &App) -> bool {
        let idle = |pane: PaneId| app.pane(pane).job().is_none();
        let asked = app.query.typed_at.is_none();
        let loaded = app.shared.model.is_some() && app.model.job().is_none() && !app.model.awaits_adapters();
        match self {
            Self::Model => loaded,
            Self::Lens => asked && loaded && idle(PaneId::Lens) && app.lens.elapsed_ms.is_some(),
            Self::Grid => Self::Lens.holds(app) && idle(PaneId::Grid),
            Self::Pca => idle(PaneId::Pca) && app.pca.answer.is_some() && app.pca.complete,
            Self::Eval => idle(PaneId::Eval) && app.eval.table.is_some(),
            Self::Training => app.training.run.is_some() && app.training.active().is_none(),
            Self::Step(n) => app.training.run.as_ref().and_then(|r| r.step).is_some_and(|s| s.step >= n),
            Self::Plan => matches!(app.training.form.plan, Some(Ok(_))),
            Self::Quiet => asked && loaded && PaneId::ALL.iter().all(|p| *p == PaneId::Training || idle(*p)),
        }
    }
}
