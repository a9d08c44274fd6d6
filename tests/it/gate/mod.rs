//! Tests of the gate: nobody gets a token before they have done what was required of them.

mod promise;
