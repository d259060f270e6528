// A TestMesh plugin for numbers that carry a check digit: card numbers (Luhn)
// and IBANs (ISO 7064, MOD 97-10). It judges numbers and finds test numbers; it
// never asks a bank whether one exists.
import { serve } from "./testmesh.js";
import { checkdigit } from "./checkdigit.js";

serve(checkdigit);
