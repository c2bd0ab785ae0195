/* SPDX-License-Identifier: Apache-2.0 */
/* conf.h - the gateway's own settings, as read from postbus.conf. */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_conf {
	bool enabled;
	char *ca;   /* NULL: the system's */
	char *cert; /* NULL: none */
	char *key;  /* NULL: the credential "key", where there is a certificate */
	char *psk_identity, *psk_file; /* both or none: a shared key in place of certificates */
};

struct broker_conf {
	char *host;
	uint16_t port;
	bool mqtt5; /* version "5" (default), otherwise 3.1.1 */
	char *client_id;
	bool clean_session; /* the broker keeps nothing of it beyond the link */
	uint64_t keepalive_us, session_expiry_us;
	unsigned inflight;
	char *username, *password_file; /* NULL: none */
	struct tls_conf tls;
	uint64_t reconnect_first_us, reconnect_most_us;
};

enum layout {
	LAYOUT_DEVICE,
	LAYOUT_POINT,
};

enum payload_format {
	PAYLOAD_JSON,
	PAYLOAD_BARE,
};

enum time_format {
	TIME_ISO,
	TIME_EPOCH_MS,
};

enum discovery {
	DISCOVERY_NONE,
	DISCOVERY_HOMEASSISTANT,
};

struct publish_conf {
	char *topic; /* template, default {gateway}/{device} */
	enum layout layout;
	uint8_t qos;
	bool retain;
	enum payload_format payload;
	enum time_format time;
	uint64_t expiry_us;     /* what the broker could not deliver by then it drops; 0: never */
	uint64_t clock_wait_us; /* how long the clock may take to be set right at the start */
	enum discovery discovery; /* who is told of what there is to read … */
	char *discovery_prefix;   /* … on topics below this, … */
	char *birth_topic;        /* … and says `online` here when it begins anew */
};

enum spool_when_full {
	DROP_OLDEST,
	DROP_NEWEST,
};

enum spool_order {
	OLDEST_FIRST,
	LIVE_FIRST,
};

struct spool_conf {
	char *directory;
	uint64_t max_bytes, max_age_us;
	enum spool_when_full when_full;
	uint64_t sync_us; /* 0: always */
	enum spool_order order;
	unsigned drain_rate; /* messages a second; 0: no limit */
};

struct metrics_conf {
	char *file; /* NULL: none is written */
	uint64_t every_us;
	char *listen; /* as listen.h has it; NULL: nobody is served */
};

struct conf {
	atomic_uint users;
	char *file;
	char *gateway;
	char *buses; /* directory */
	char **maps; /* directories */
	size_t map_count;
	bool commands; /* false: whatever the maps say, nothing is written */
	uint64_t command_max_age_us;
	struct broker_conf broker;
	struct publish_conf publish;
	struct spool_conf spool;
	struct metrics_conf metrics;
};

/*
 * Reads postbus.conf with every default filled in. libconfig tells no columns: they are
 * found by looking up the name on the line that it tells. Returns 0, or -EINVAL with the
 * faults noted, or -errno (noted too). Where single settings are all that is wrong, *conf is
 * set beside -EINVAL, with defaults for them, so that other files' faults can be told too.
 */
int conf_load(const char *file, struct conf **conf, struct faults *faults) _must_check_;

/* One more who has it, of whatever thread; the last one's conf_free() frees it. */
struct conf *conf_share(struct conf *conf);
void conf_free(struct conf *conf);
DEFINE_CLEANUP(struct conf *, conf_free)

/* What it takes for a changed setting to hold in a gateway that runs. */
enum conf_change {
	CONF_AS_GROUP, /* what its group says */
	CONF_RESTART,  /* it can't be changed while the gateway runs */
	CONF_LINK,     /* another link to the broker */
	CONF_BUSES,    /* all buses anew */
	CONF_NOW,      /* nothing: it holds from now on */
};

/*
 * Tells of each setting that is another one in `new` than in `old`, as "publish.qos", defaults
 * filled in.
 */
typedef void conf_visit(void *data, const char *name, enum conf_change change);
void conf_compare(const struct conf *old, const struct conf *new, conf_visit *visit,
		  void *data);
