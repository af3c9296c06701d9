//! The closed first start: whoever can read what the server prints may make the first administrator, once.

use std::sync::{Mutex, PoisonError};

use portreeve_policy::{Binding, BoundTo};
use sha2::{Digest, Sha256};

use crate::tokens::{TokenHash, same_hash};
use crate::users::UserView;
use crate::{NewUser, Portreeve, ServiceError};

/// How many wrong codes a process takes before it takes none any more.
pub const SETUP_ATTEMPTS: u32 = 10;

// No letters and digits that are taken for each other. 32 of them: five bits each, 80 in all.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
const GROUPS: usize = 4;
const GROUP: usize = 4;

/// The code that is out, by its hash.
#[derive(Default)]
pub(crate) struct Setup {
    state: Mutex<Option<State>>,
}

struct State {
    code: TokenHash,
    wrong: u32,
}

impl Portreeve {
    /// Something unpredictable that people can type: a setup code, a first password.
    pub fn new_password(&self) -> String {
        let mut bytes = [0u8; GROUPS * GROUP];
        self.entropy.fill(&mut bytes);
        let letters: Vec<u8> = bytes
            .iter()
            .map(|byte| ALPHABET[usize::from(byte % 32)])
            .collect();
        let groups: Vec<_> = letters.chunks(GROUP).map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// Makes the setup code where no administrator exists yet; a new one takes the place of the last. It is kept as a
    /// hash in memory, so it has to be shown now.
    pub async fn begin_setup(&self) -> Result<Option<String>, ServiceError> {
        self.look_for_administrator().await?;
        if self.has_administrator() {
            return Ok(None);
        }
        let code = self.new_password();
        *self.setup.lock() = Some(State {
            code: code_hash(&code),
            wrong: 0,
        });
        Ok(Some(code))
    }

    /// Makes the first administrator. Of two who have the code, one succeeds.
    pub async fn setup(
        &self,
        code: &str,
        username: &str,
        email: Option<&str>,
        password: &str,
    ) -> Result<UserView, ServiceError> {
        self.setup.check(code)?;
        let new = NewUser {
            username: Some(username.into()),
            email: email.map(Into::into),
            password: Some(password.into()),
            ..NewUser::default()
        };
        self.first_administrator(new).await
    }

    /// Makes the first administrator for whoever holds the data folder: development mode and the command line.
    pub async fn first_administrator(&self, new: NewUser) -> Result<UserView, ServiceError> {
        let _turn = self.administration.lock().await;
        new.check()?;
        let bindings = vec![Binding {
            to: BoundTo::Role("admin".into()),
            primary: true,
            ..Binding::default()
        }];
        let user = self.new_user(new, bindings).await?;
        let mut view = UserView::of(&user);
        let create = self.gate.create_user(&self.operator(), user)?;
        let made = self.store.system().first_administrator(create).await;
        view.number = made.map_err(crate::users::account_error)?;
        *self.setup.lock() = None;
        self.note_administrator().await;
        Ok(view)
    }
}

impl Setup {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, code: &str) -> Result<(), ServiceError> {
        let mut state = self.lock();
        let Some(open) = &mut *state else {
            return Err(ServiceError::SetupClosed("there is nothing to set up"));
        };
        if open.wrong >= SETUP_ATTEMPTS {
            return Err(ServiceError::SetupClosed(
                "too many wrong codes; start the server again for a new one",
            ));
        }
        if same_hash(&open.code, &code_hash(code)) {
            return Ok(());
        }
        open.wrong += 1;
        Err(ServiceError::WrongSetupCode)
    }
}

// People type it with other cases, spaces and dashes.
fn code_hash(code: &str) -> TokenHash {
    let plain: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    Sha256::digest(plain).into()
}
