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

#elif defined(__aarch64__)

        .text
        // The arguments are kept over a call of ours; so is the return address, which the real function looks at.
        .macro  keep_arguments
        stp     x29, x30, [sp, #-48]!
        .cfi_adjust_cfa_offset 48
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        str     x2, [sp, #32]
        .endm
        .macro  restore_arguments
        ldr     x2, [sp, #32]
        ldp     x0, x1, [sp, #16]
        ldp     x29, x30, [sp], #48
        .cfi_adjust_cfa_offset -48
        .cfi_restore x29
        .cfi_restore x30
        .endm
        .macro  load_real real
        adrp    x16, \real
        ldr     x16, [x16, #:lo12:\real]
        .endm

        .macro  entry name, answer, real
        .globl  \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        hint    #34                     // bti c
        cbz     x1, .Lforward_\name
        ldrb    w9, [x1]
        cmp     w9, #'c'
        b.ne    .Lforward_\name
        ldrb    w9, [x1, #1]
        cmp     w9, #'u'
        b.ne    .Lforward_\name
        keep_arguments
        bl      \answer
        mov     x9, x0
        restore_arguments
        cbz     x9, .Lforward_\name
        cmp     x9, #1                  // the answer is NULL
        csel    x0, xzr, x9, eq
        ret
.Lforward_\name:
        load_real \real
        cbz     x16, .Lfind_\name
        br      x16
.Lfind_\name:
        keep_arguments
        bl      vramtrack_find_dlsym
        restore_arguments
        load_real \real
        br      x16
        .cfi_endproc
        .size   \name, . - \name
        .endm

        entry   dlsym, vramtrack_answer_dlsym, vramtrack_real_dlsym
        entry   dlvsym, vramtrack_answer_dlvsym, vramtrack_real_dlvsym

#else
#error "dlsym_entry.S: written for x86-64 and aarch64; see docs/adding-a-hook.md for what a port needs"
#endif
        .section .note.GNU-stack, "", %progbits
