# SPDX-License-Identifier: Apache-2.0
# What changes from time to time on the screen of `postbus top` gives way to a mark: bars and
# charts to =, paths to PATH, numbers to #, their unit of time to T. Columns are not kept.
s/[▁▂▃▄▅▆▇█░]+/=/g
s/  +/ /g
s/ $//
s#(^| )/[^ ]+#\1PATH#g
s/(^|[ (:])[0-9][0-9.]*/\1#/g
s/# (s|min|h|d)([ ,;)]|$)/# T\2/g
# What is there only at times: the clock, a chart's most, rates, a load beyond the wire's, errors.
s/^( demo postbus #, running for # T).*/\1/
s/, at most # in # T//
s/#\/s in, #\/s out; //
s/% x[0-9.]+/%/
s/^( requests #, # answered).*/\1/
