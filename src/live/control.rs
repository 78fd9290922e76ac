//! What an operator may ask of a run while it goes on.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use tokio::sync::watch;

use crate::pace::Pace;

/// Slower than this is a pause.
const SLOWEST: f64 = 0.001;

/// Something that is asked of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    /// No group begins any more; those in flight go on to their end.
    Pause,
    /// Groups begin again.
    Resume,
    /// So many groups begin per second, at most; as many as the cluster can take.
    Rate(Option<f64>),
    /// As Ctrl-C: what is in flight is finished, and the run ends.
    Stop,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// It is none.
    #[error("'{0}' is none of pause, resume, rate N, rate none, stop")]
    Unknown(String),
    /// It is not a rate.
    #[error("'{0}' is not a rate: use a number of groups per second, from 0.001 on, or none")]
    NotARate(String),
    /// There is nothing to pause yet, or any more.
    #[error("no groups are being worked on; nothing but stop can be asked for now")]
    NotNow,
}

impl FromStr for Order {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        match text.split_once(' ').map_or((text, ""), |(order, value)| (order, value.trim())) {
            ("pause", "") => Ok(Self::Pause),
            ("resume", "") => Ok(Self::Resume),
            ("stop", "") => Ok(Self::Stop),
            ("rate", "none") => Ok(Self::Rate(None)),
            ("rate", value) => match value.replace('_', "").parse::<f64>() {
                Ok(rate) if rate.is_finite() && rate >= SLOWEST => Ok(Self::Rate(Some(rate))),
                _ => Err(Refused::NotARate(value.to_owned())),
            },
            _ => Err(Refused::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Rate(None) => f.write_str("rate none"),
            Self::Rate(Some(rate)) => write!(f, "rate {rate}"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

/// Carries out orders. Clones share what they act on.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pace: Arc<OnceLock<Arc<Pace>>>,
    stop: watch::Sender<bool>,
}

impl Control {
    /// With the switch that stops the run; there is no pace before [`paces`](Self::paces).
    pub(crate) fn new(stop: watch::Sender<bool>) -> Self {
        Self { pace: Arc::default(), stop }
    }

    /// What groups are admitted by from now on; what was said first stays.
    pub(crate) fn paces(&self, pace: &Arc<Pace>) {
        self.pace.get_or_init(|| Arc::clone(pace));
    }

    /// Whether the run was asked to stop, by whatever way.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Carries out an order that came `by` some way; gives what to tell whoever asked. It is logged.
    ///
    /// # Errors
    /// It cannot be carried out now; nothing has changed.
    pub(crate) fn carry_out(&self, order: Order, by: &str) -> Result<String, Refused> {
        let pace = || match self.pace.get() {
            Some(pace) if !self.is_stopping() => Ok(pace),
            _ => Err(Refused::NotNow),
        };
        let done = match order {
            Order::Pause => match pace()?.pause() {
                true => "paused: no group begins, those in flight go on to their end".to_owned(),
                false => "it was paused already".to_owned(),
            },
            Order::Resume => match pace()?.resume() {
                true => "going on".to_owned(),
                false => "it was not paused".to_owned(),
            },
            Order::Rate(rate) => {
                pace()?.set_rate(rate);
                match rate {
                    Some(rate) => format!("at most {rate} groups per second from now on"),
                    None => "as many groups per second as the cluster can take".to_owned(),
                }
            }
            Order::Stop => match self.stop.send_replace(true) {
                false => "stopping: the groups in flight are finished".to_owned(),
                true => "it is stopping already".to_owned(),
            },
        };
        // For the terminal too: whoever sits there has to know that somebody else had a hand in it.
        tracing::warn!("'{order}' {by}: {done}");
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_are_written() {
        for text in ["pause", "resume", "rate 12.5", "rate none", "stop"] {
            let order: Order = text.parse().expect(text);
            assert_eq!(order.to_string(), text);
        }
        for text in ["", "halt", "pause now", "rate", "rate 0", "rate -1", "rate NaN", "rate inf"] {
            assert!(text.parse::<Order>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_act_on_pace_and_switch() {
        let (stop, stopped) = watch::channel(false);
        let control = Control::new(stop);
        assert_eq!(control.carry_out(Order::Pause, "here"), Err(Refused::NotNow));
        let pace = Pace::new(4);
        control.paces(&pace);
        assert!(control.carry_out(Order::Pause, "here").unwrap().starts_with("paused"));
        assert!(pace.is_paused());
        assert!(control.carry_out(Order::Rate(Some(2.0)), "here").is_ok());
        assert_eq!(pace.rate(), Some(2.0));
        assert!(control.carry_out(Order::Resume, "here").is_ok());
        assert!(!pace.is_paused());
        assert!(control.carry_out(Order::Stop, "here").is_ok());
        assert!(*stopped.borrow());
        assert_eq!(control.carry_out(Order::Pause, "here"), Err(Refused::NotNow));
    }
}
