//! Colours.

use clap::{Args, ValueEnum};

/// When output is coloured.
#[derive(Args, Clone, Copy, Debug)]
pub(in super::super) struct ColorArgs {
    /// Colours: always, never, or auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum, help_heading = "Output")]
    #[arg(hide_possible_values = true)]
    color: ColorWhen,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl ColorArgs {
    /// For the streams.
    pub(in super::super) fn choice(self) -> anstream::ColorChoice {
        match self.color {
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::Always,
            ColorWhen::Never => anstream::ColorChoice::Never,
        }
    }
}
