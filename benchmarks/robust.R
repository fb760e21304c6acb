# Fits on request: one line in, one JSON line out, until the input ends.
#
#   Rscript --vanilla robust.R
#
# A request is a line of fields separated by tabs:
#
#   facts
#   fast           FILE n p seed     robustbase::covMcd, alpha = 0.5, default search (500 random starts)
#   deterministic  FILE n p seed     robustbase::covMcd, alpha = 0.5, nsamp = "deterministic"
#   mrcd           FILE n p seed     rrcov::CovMrcd, alpha = 0.5
#
# FILE holds the n x p matrix as float64, column after column. The answer holds the seconds of the fit alone (reading the
# file is not timed), the objective that the fit reports ("crit", a log-determinant), and the rows of its best subset,
# counted from 1.

suppressPackageStartupMessages({
  library(robustbase)
  library(rrcov)
})

read_matrix <- local({
  path <- ""
  held <- NULL
  function(file, n, p) {
    if (file != path) {
      held <<- matrix(readBin(file, "double", n * p), n, p)
      path <<- file
    }
    held
  }
})

number <- function(x) if (length(x) == 1 && is.finite(x)) sprintf("%.17g", x) else "null"
word <- function(x) encodeString(as.character(x), quote = '"')
object <- function(...) {
  fields <- list(...)
  cat("{", paste(word(names(fields)), unlist(fields), sep = ": ", collapse = ", "), "}\n", sep = "")
  flush(stdout())
}

searches <- list(
  fast = function(X) covMcd(X, alpha = 0.5),
  deterministic = function(X) covMcd(X, alpha = 0.5, nsamp = "deterministic"),
  mrcd = function(X) CovMrcd(X, alpha = 0.5)
)

facts <- function() {
  object(
    R = word(paste(R.version$major, R.version$minor, sep = ".")),
    robustbase = word(packageVersion("robustbase")),
    rrcov = word(packageVersion("rrcov")),
    "BLAS of R" = word(sub(".*/([^/]+/[^/]+)$", "\\1", extSoftVersion()[["BLAS"]]))
  )
}

answer <- function(fields) {
  X <- read_matrix(fields[2], as.integer(fields[3]), as.integer(fields[4]))
  search <- searches[[fields[1]]]
  set.seed(as.integer(fields[5]))
  gc(FALSE)
  start <- Sys.time()
  fit <- suppressWarnings(search(X))
  seconds <- as.numeric(difftime(Sys.time(), start, units = "secs"))
  s4 <- isS4(fit)
  object(
    seconds = number(seconds),
    objective = number(if (s4) fit@crit else fit$crit),
    rho = number(if (s4) fit@rho else NA),
    best = paste0("[", paste(as.integer(if (s4) fit@best else fit$best), collapse = ","), "]")
  )
}

input <- file("stdin", "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  fields <- strsplit(line, "\t", fixed = TRUE)[[1]]
  tryCatch(
    if (fields[1] == "facts") facts() else answer(fields),
    error = function(e) object(error = word(conditionMessage(e)))
  )
}
