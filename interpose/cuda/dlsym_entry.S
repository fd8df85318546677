// dlsym and dlvsym: see doors.cpp. Written in assembly because the jump to the real function must be a jump: with a
// frame of ours in between (unoptimized or sanitized builds), RTLD_NEXT would be resolved for this library.
// A name that does not begin with "cu" costs two byte compares.
#if defined(__x86_64__)

        .text
        .macro  entry name, answer, real
        .globl  \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        endbr64
        test    %rsi, %rsi
        jz      .Lforward_\name
        cmpb    $'c', (%rsi)
        jne     .Lforward_\name
        cmpb    $'u', 1(%rsi)
        jne     .Lforward_\name
        push    %rdi
        .cfi_adjust_cfa_offset 8
        push    %rsi
        .cfi_adjust_cfa_offset 8
        push    %rdx
        .cfi_adjust_cfa_offset 8
        call    \answer
        pop     %rdx
        .cfi_adjust_cfa_offset -8
        pop     %rsi
        .cfi_adjust_cfa_offset -8
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        test    %rax, %rax
        jz      .Lforward_\name
        cmp     $1, %rax                // the answer is NULL
        jne     .Lanswered_\name
        xor     %eax, %eax
.Lanswered_\name:
        ret
.Lforward_\name:
        mov     \real(%rip), %rax
        test    %rax, %rax
        jz      .Lfind_\name
        jmp     *%rax
.Lfind_\name:
        push    %rdi
        .cfi_adjust_cfa_offset 8
        push    %rsi
        .cfi_adjust_cfa_offset 8
        push    %rdx
        .cfi_adjust_cfa_offset 8
        call    vramtrack_find_dlsym
        pop     %rdx
        .cfi_adjust_cfa_offset -8
        pop     %rsi
        .cfi_adjust_cfa_offset -8
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        jmp     *\real(%rip)
        .cfi_endproc
        .size   \name, . - \name
        .endm

        entry   dlsym, vramtrack_answer_dlsym, vramtrack_real_dlsym
        entry   dlvsym, vramtrack_answer_dlvsym, vramtrack_real_dlvsym

#else
#error "dlsym_entry.S: only x86_64 is written; see docs/adding-a-hook.md for what a port needs"
#endif
        .section .note.GNU-stack, "", @progbits
