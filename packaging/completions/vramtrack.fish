# fish completion for vramtrack. Commands and options are asked from the program itself.
function __vramtrack_commands
    vramtrack --help 2>/dev/null | string match -r -g '^  ([a-z]+)  +(.*)' | while read -l name
        read -l what
        printf '%s\t%s\n' $name $what
    end
end
function __vramtrack_options
    set -l words (commandline -opc)
    vramtrack $words[2] --help 2>/dev/null | string match -r -g '^  [-a-z,]*(--[a-z-]+)'
end
complete -c vramtrack -f -n 'test (count (commandline -opc)) -eq 1' -a '(__vramtrack_commands)'
complete -c vramtrack -n 'test (count (commandline -opc)) -gt 1; and string match -q -- "-*" (commandline -ct)' -a '(__vramtrack_options)'
