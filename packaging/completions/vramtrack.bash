# bash completion for vramtrack. Commands and options are asked from the program itself.
_vramtrack() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} i
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$(vramtrack --help 2>/dev/null | sed -n 's/^  \([a-z]\+\)  .*/\1/p') --help --version" -- "$word")
    return
  fi
  for ((i = 2; i < COMP_CWORD; ++i)); do
    if [[ ${COMP_WORDS[i]} == -- ]]; then # the program to run, and its arguments
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else mapfile -t COMPREPLY < <(compgen -fc -- "$word"); fi
      return
    fi
  done
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(vramtrack "$command" --help 2>/dev/null | grep -o -e '^  [-a-z,]*--[a-z-]*' | grep -o -e '--[a-z-]*')" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _vramtrack vramtrack
