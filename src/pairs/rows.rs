//! What can be set of the input: the rows of its settings, and the format that they make.

use super::{Accepted, Format};
use crate::model::AccountType;
use crate::setting::Command::{Apply, Plan, Undo};
use crate::setting::{Kind, Layers, Setting, SettingsError, plain, settings, text};

settings! {
    /// How pairs stand in a CSV.
    pub(crate) CSV: "Input", &[Plan, Apply, Undo];

    /// The column with the account that is emptied
    FROM_COLUMN: String = Setting::new("from_column", Kind::Text, "NAME", column)
        .default("from").example("old").recorded(text);

    /// The column with the account that receives everything
    TO_COLUMN: String = Setting::new("to_column", Kind::Text, "NAME", column)
        .default("to").example("new").recorded(text);

    /// What separates the columns: one character, or `tab`
    DELIMITER: u8 = Setting::new("delimiter", Kind::Text, "CHAR", delimiter)
        .default(",")
        .example(";")
        .recorded(|byte| text(&char::from(*byte)));

    /// Strip white space around ids, instead of rejecting such lines
    TRIM: bool = Setting::switch("trim").recorded(plain);

    /// Merge lines that a rule holds back: header, invalid-id, placeholder, spreadsheet; several by commas
    ///
    /// Their ids are taken as they stand. The report says which rule holds what back, and how many lines it let
    /// through. An id that is empty, too long, surrounded by white space or no value of the accounts' type is never
    /// let through.
    ACCEPT: Accepted = Setting::new("accept", Kind::List, "RULE", Accepted::parse)
        .example("placeholder").recorded(|accepted| accepted.names().collect());
}

impl Format {
    /// How pairs of such accounts are written, as the settings say.
    ///
    /// # Errors
    /// A setting has no value that it may have, or no input could be read by them.
    pub fn of(layers: &Layers, accounts: AccountType) -> Result<Self, SettingsError> {
        let format = Self {
            from_column: layers.get(&FROM_COLUMN)?,
            to_column: layers.get(&TO_COLUMN)?,
            delimiter: layers.get(&DELIMITER)?,
            trim: layers.get(&TRIM)?,
            accept: layers.find(&ACCEPT)?.unwrap_or_default(),
            accounts,
        };
        format.check().map_err(SettingsError::new)?;
        Ok(format)
    }
}

fn column(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is not a column".to_owned()) } else { Ok(text.to_owned()) }
}

/// One character that separates columns.
fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(*byte),
            [byte @ (b'\t' | b' ')] => Ok(*byte),
            _ => Err("is not a delimiter: use one character such as , ; | or the word tab".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_said_the_format_is_the_default() {
        let format = Format::of(&Layers::default(), AccountType::default()).unwrap();
        assert_eq!(format, Format::default());
    }

    #[test]
    fn delimiters_can_be_named() {
        assert_eq!(
            [",", ";", "tab", "\\t", "\t", "|"].map(|t| delimiter(t).unwrap()),
            *b",;\t\t\t|"
        );
        for wrong in ["", "\"", ";;", "a", "\n", "é"] {
            delimiter(wrong).unwrap_err();
        }
    }
}
