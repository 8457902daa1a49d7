# SPDX-License-Identifier: Apache-2.0
"""The commands scan and fix: they find the hooks of v1 in a code base.

What it is for: before a code base of TensorFlow 1 can run its hooks under
Keras, someone has to find them, and to know what each needs. `scan` does this
for Python files (of Python 2, too) and notebooks, and `fix` rewrites what is
safe to rewrite. Nothing that is scanned is run or imported, and neither is
TensorFlow: the package needs parso and rich, and nothing else of
`final_ops_callback`.

How data goes through it: `sources` finds the files and decodes them;
`notebooks` takes the code out of notebooks. `Scan` (`scan`) chooses the files
that can have something to find, by the words in them and by the names that
other files give to hooks. `grammar` parses those, as Python 3 or 2, around
errors; `facts` goes once through each tree and takes out scopes, classes,
calls, imports and dotted names (`syntax` reads single expressions). `Resolver`
(`resolve`) says what a name means, through aliases and the other files of the
`Tree` (`tree`); `known` says what a name of TensorFlow 1 is, `v1_only` which
names TensorFlow 2 has under `tf.compat.v1` alone, `gone` what of a file is gone
and whether the file dies of it. Four judges make `findings` of it: `classes`
(with `needs`, which reads the body of a class), `made`, `passed` (with
`sessions`) and `removed`. They collect `reasons`; the worst one is the verdict.
A finding may have edits; `fix` makes them. `table`, `page` and `command` show
the result.

What only a run knows is not found: a class that `type()` or `exec` makes, a
base that is the variable of a loop, a name that is put together.

A new rule goes into the judge that it concerns, with a class or call in
`tests/_scan/tree` that shows it, and a line in `tests/_scan/expected.txt`.

Which file to open:

- `command`: the arguments, the output and the exit codes of both commands.
- `scan`: one scan of some paths, from files to the report.
- `findings`: what a report consists of.
- `sources`: which files are read, and how. `notebooks`: code in cells.
- `grammar`: the grammars of Python 3 and 2. `syntax`: single expressions.
- `facts`: what is taken out of a file. `tree`: which file an import means.
- `resolve`: what a name means, and which hook a class descends from.
  `bound`: the values that a name is bound to.
- `known`: what the names of TensorFlow 1 are. `v1_only`: a table of names.
- `neighbours`: the modules that a file needs beside it.
- `gone`: names that TensorFlow 2 has not, and files that die of them.
- `graph_names`: which names the graph of the hooks has under Keras.
- `classes`: judges classes of hooks. `needs`: what one needs of the graph;
  `body`, `feeds`, `old_calls`: its nodes, what it feeds, what it calls.
  `given_tensors`: what in it is not its own.
- `made`: judges the places where a hook is made. `final_ops`: a FinalOpsHook.
  `origins`: whether a tensor is the loss, or a streaming metric.
- `passed`: judges the places that get hooks, `sessions` those that ran v1's
  loops. `given`: the hooks that a call gets, and the Keras line for them.
  `bare_sessions`: a MonitoredSession; `phases`: whether it trains.
- `removed`: judges other names that are gone. `contrib`: what is there instead.
- `summaries`: judges the summaries that only a v1 session wrote.
- `context`, `reasons`, `factories`: what the judges share.
- `fix`: makes edits, as a diff or in the files.
- `table`, `page`, `printable`: the report on a terminal and as HTML.
"""
