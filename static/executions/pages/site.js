/* What every page has: times, copying, dialogs. */
import "./copying.js";
import "./dialogs.js";
import "./times.js";
