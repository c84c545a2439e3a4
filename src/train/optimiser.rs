//! AdamW and the clipping of gradients, as torch computes them.

/// torch.optim.AdamW's defaults, which are the paper's.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019). All states are f32, as torch's are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdamW {
    /// Running means of the gradient and of its square, parallel to the parameters.
    pub m: Vec<f32>,
    pub v: Vec<f32>,
}

impl AdamW {
    /// For `n` parameters, before the first step.
    pub fn new(n: usize) -> Self {
        Self { m: vec![0.0; n], v: vec![0.0; n] }
    }

    /// The `t`-th update (from 1):
    ///
    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
    /// `x = x (1 - lr wd) - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)`.
    ///
    /// Returns whether all parameters are finite afterwards.
    pub fn step(&mut self, values: &mut [f32], grads: &[f32], t: u64, lr: f64, weight_decay: f64) -> bool {
        let t = t as f64;
        let size = (lr / (1.0 - BETA1.powf(t))) as f32;
        let root = (1.0 - BETA2.powf(t)).sqrt() as f32;
        let decay = (1.0 - lr * weight_decay) as f32;
        let (one, two, eps) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32, EPSILON as f32);
        let beta2 = BETA2 as f32;
        let mut finite = true;
        let states = self.m.iter_mut().zip(self.v.iter_mut());
        for ((x, &g), (m, v)) in values.iter_mut().zip(grads).zip(states) {
            // torch's lerp, and addcmul.
            *m += one * (g - *m);
            *v = *v * beta2 + two * g * g;
            *x = *x * decay - size * (*m / (v.sqrt() / root + eps));
            finite &= x.is_finite();
        }
        finite
    }
}

/// The Euclidean norm, summed in f64 in the order of the numbers.
pub fn norm(xs: &[f32]) -> f64 {
    xs.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}

/// Scales all gradients by `max / (norm + 1e-6)` where that is below 1, as torch.nn.utils.clip_grad_norm_ does;
/// a `max` of 0 leaves them. Returns the norm before.
pub fn clip(grads: &mut [f32], max: f64) -> f64 {
    let norm = norm(grads);
    let factor = max / (norm + 1e-6);
    if max > 0.0 && factor < 1.0 {
        let factor = factor as f32;
        grads.iter_mut().for_each(|g| *g *= factor);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published algorithm in f64, each symbol by itself.
    fn reference(x: f64, grads: &[f64], lr: f64, wd: f64) -> f64 {
        let (mut theta, mut m, mut v) = (x, 0.0, 0.0);
        for (i, g) in grads.iter().enumerate() {
            let t = i as i32 + 1;
            theta -= lr * wd * theta;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            theta -= lr * m_hat / (v_hat.sqrt() + 1e-8);
        }
        theta
    }

    #[test]
    fn steps_are_those_of_the_published_algorithm() {
        let grads = [0.3, -0.02, 1.5, 1e-4, -0.7, 0.0, 0.25];
        for (wd, lr) in [(0.0, 1e-2), (0.1, 1e-2), (0.01, 0.3)] {
            let mut adam = AdamW::new(2);
            let mut x = [0.5f32, -2.0];
            for (i, g) in grads.iter().enumerate() {
                assert!(adam.step(&mut x, &[*g as f32, -3.0 * *g as f32], i as u64 + 1, lr, wd));
            }
            let tripled: Vec<f64> = grads.iter().map(|g| -3.0 * g).collect();
            for (got, want) in
                x.iter().zip([reference(0.5, &grads, lr, wd), reference(-2.0, &tripled, lr, wd)])
            {
                assert!((f64::from(*got) - want).abs() < 2e-6, "{got} {want}");
            }
        }
        // The first step of any gradient is lr * sign, whatever its size; a rate of 0 only moves the means.
        let (mut adam, mut x) = (AdamW::new(3), [1.0f32, 1.0, 1.0]);
        adam.step(&mut x, &[1e-3, -50.0, 0.0], 1, 0.0, 0.5);
        assert_eq!(x, [1.0; 3]);
        assert!((adam.m[0] - 1e-4).abs() < 1e-10 && adam.m[1..] == [-5.0, 0.0], "{:?}", adam.m);
        let (mut adam, mut x) = (AdamW::new(3), [1.0f32, 1.0, 1.0]);
        adam.step(&mut x, &[1e-3, -50.0, 0.0], 1, 0.125, 0.0);
        for (got, want) in x.iter().zip([0.875, 1.125, 1.0]) {
            assert!((got - want).abs() < 1e-5, "{x:?}");
        }
        assert!(!AdamW::new(1).step(&mut [0.0], &[f32::NAN], 1, 0.1, 0.0));
    }

    #[test]
    fn clipping_scales_to_the_greatest_norm_and_no_further() {
        let mut g = vec![3.0f32, 4.0];
        assert_eq!(clip(&mut g, 1.0), 5.0);
        assert!((norm(&g) - 1.0).abs() < 1e-6 && (g[1] / g[0] - 4.0 / 3.0).abs() < 1e-6);
        let mut g = vec![0.3f32, 0.4];
        assert!((clip(&mut g, 1.0) - 0.5).abs() < 1e-7);
        assert_eq!(g, [0.3, 0.4]);
        let mut g = vec![30.0f32];
        assert_eq!((clip(&mut g, 0.0), g), (30.0, vec![30.0]));
        assert!(clip(&mut [f32::NAN, 1.0], 1.0).is_nan() && clip(&mut [f32::INFINITY], 1.0).is_infinite());
    }
}
