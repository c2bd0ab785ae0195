/* SPDX-License-Identifier: Apache-2.0 */
/* extend.h - a map that begins as another map: `extends: other-map`. */
#pragma once

#include "config/yaml.h"

/*
 * Where the map says what it extends, puts that map's keys under its own, and goes on with
 * what that one extends. Maps within maps are joined key by key, everything else is the
 * extending map's; `null` takes a key away; `map` and `examples` are not inherited. The other
 * map is looked for in `directories` (ending with NULL) in order, and is never the same file:
 * a site's map may extend the one of its own name that it stands in front of. 0, or -EINVAL
 * with the faults noted, or -errno.
 */
int extend(struct yaml_document *document, const char *const *directories,
	   struct faults *faults) _must_check_;
