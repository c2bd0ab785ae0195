# SPDX-License-Identifier: Apache-2.0
# postbus.bash - completion for bash: what there is to complete is asked of the program itself.

# The verbs that a help text lists: `  list    one line a message that waits`.
_postbus_verbs() {
	"$@" --help 2>/dev/null </dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'
	[ "${2-}" != maps ] || echo show
}

_postbus_options() {
	"$@" --help 2>/dev/null </dev/null | grep -oE '(^|[ ,|[])--?[A-Za-z][A-Za-z-]*' | tr -d ' ,|['
}

_postbus_ports() {
	"$1" ports --json 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d '"' -f 4
}

# _postbus_maps PROGRAM WORD...: the names of the maps that these words would find.
_postbus_maps() {
	local program=$1 where=()
	while shift && [ $# -gt 1 ]; do
		[ "$1" != --maps ] || where=(--maps "$2")
	done
	"$program" maps "${where[@]}" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

# _postbus_arguments PROGRAM VERB NUMBER WORD...: what can be a verb's so-manieth argument.
_postbus_arguments() {
	local program=$1 verb=$2 number=$3
	shift 3
	case $verb$number in
	scan1 | read1) _postbus_ports "$program" ;;
	maps2) _postbus_maps "$program" "$@" ;;
	read2 | sim*) _postbus_maps "$program" "$@" && echo FILE ;;
	check*) echo FILE ;;
	esac
	[ "$number" -gt 1 ] || _postbus_verbs "$program" "$verb"
}

# _postbus_values OPTION: what can stand after it; nothing: it takes no value.
_postbus_values() {
	case $1 in
	-c | --config | --link) echo FILE ;;
	--maps | --directory) echo DIRECTORY ;;
	-b | --baud) echo 1200 2400 4800 9600 19200 38400 57600 115200 ;;
	-f | --format) echo 8N1 8E1 8O1 8N2 7E1 ;;
	-i | --interval) echo 500ms 1s 2s 5s 10s ;;
	--fault) echo silent checksum short late= pause= exception= refuse= echo garbage noise \
		babble= twice foreign ;;
	-a | --address | --timeout | --wait | --topic | --from | --to | --limit) echo NONE ;;
	esac
}

_postbus() {
	local program=$1 cur=$2 prev=$3 words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	local IFS=$' \t\n' verb below='' found i number=1
	# To bash a colon parts words, as in usb:0403:6001; to us it does not.
	! declare -F _get_comp_words_by_ref >/dev/null ||
		_get_comp_words_by_ref -n : cur prev words cword

	verb=${words[1]}
	found=
	[ "$cword" -eq 1 ] || found=$(_postbus_values "$prev")
	if [ -n "$found" ]; then
		:
	elif [ "$cword" -eq 1 ]; then
		found="$(_postbus_verbs "$program") --help --version"
	elif [[ $cur == -* ]]; then
		! _postbus_verbs "$program" "$verb" | grep -qxF -e "${words[2]}" || below=${words[2]}
		found=$(_postbus_options "$program" "$verb" ${below:+"$below"})
	else
		for ((i = 2; i < cword; i++)); do
			case ${words[i]} in
			-*) [ -z "$(_postbus_values "${words[i]}")" ] || ((i++)) ;;
			*) ((number++)) ;;
			esac
		done
		found=$(_postbus_arguments "$program" "$verb" "$number" "${words[@]}")
	fi

	mapfile -t COMPREPLY < <(
		case $found in *DIRECTORY) compgen -d -- "$cur" ;; *FILE) compgen -f -- "$cur" ;; esac
		compgen -W "$(printf '%s\n' $found | grep -vxE 'FILE|DIRECTORY|NONE')" -- "$cur"
	)
	case $found in *FILE | *DIRECTORY) compopt -o filenames 2>/dev/null ;; esac
	[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null
	! declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions "$cur"
	return 0
}

complete -F _postbus postbus
