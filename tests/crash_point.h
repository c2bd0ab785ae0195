/* SPDX-License-Identifier: Apache-2.0 */
/* crash_point.h - the points at which tests/crash_gateway can be made to end. */
#pragma once

/*
 * crash_gateway is the gateway as it ships, linked so that calls within it pass through
 * crash_point.c. With POSTBUS_CRASH=NAME:N in its environment it ends as by SIGKILL when the
 * point is passed for the N-th time. NAME is one of these, and `.before`, `.after` or, where
 * bytes are written, `.half`:
 *
 *     spool.append                           a reading is taken in
 *     journal.commit .sync .begin .restart   as in journal.h
 *     tail.commit .begin .change             as in tail.h
 *     disk.write .sync                       pwrite() and fdatasync()
 *     session.write                          all packets of a turn
 *     send.connect .publish .puback .pubrel .subscribe
 *                                            a packet that libmosquitto sends
 *     resume.pubrel                          PUBREL for what an earlier client was told
 *     got.connack .puback .pubrec .pubcomp   a packet is noted
 *     got.command                            a command came in
 *     note.command                           what is known of it, or of the link, is noted
 *     push.command take.command push.outcome it goes to the field side; its outcome comes back
 *     add.result                             its answer is taken into the spool
 */
