// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An error number of errno(3), as system calls on the mount report it.
public struct Errno: Error, Hashable, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// EPERM: the operation is never permitted.
    public static let notPermitted = Errno(rawValue: EPERM)
    /// ENOENT: no such name.
    public static let notFound = Errno(rawValue: ENOENT)
    /// EINTR: a signal ended the wait.
    public static let interrupted = Errno(rawValue: EINTR)
    /// EIO
    public static let io = Errno(rawValue: EIO)
    /// ENXIO: for lseek(2), no data or hole past the offset.
    public static let noBuffer = Errno(rawValue: ENXIO)
    /// ENXIO under its own name: no such device or address.
    public static let noAddress = Errno(rawValue: ENXIO)
    /// EBADF: the handle is not open, or not for this.
    public static let badDescriptor = Errno(rawValue: EBADF)
    /// EAGAIN: try again.
    public static let again = Errno(rawValue: EAGAIN)
    /// ENOMEM
    public static let noMemory = Errno(rawValue: ENOMEM)
    /// EACCES: this user may not.
    public static let access = Errno(rawValue: EACCES)
    /// EBUSY
    public static let busy = Errno(rawValue: EBUSY)
    /// EEXIST
    public static let exists = Errno(rawValue: EEXIST)
    /// EXDEV
    public static let crossDevice = Errno(rawValue: EXDEV)
    /// ENODEV
    public static let noDevice = Errno(rawValue: ENODEV)
    /// ENOTDIR
    public static let notDirectory = Errno(rawValue: ENOTDIR)
    /// EISDIR
    public static let isDirectory = Errno(rawValue: EISDIR)
    /// EINVAL
    public static let invalid = Errno(rawValue: EINVAL)
    /// EMFILE: too many open files.
    public static let tooManyOpen = Errno(rawValue: EMFILE)
    /// ETXTBSY: the file is being executed.
    public static let textBusy = Errno(rawValue: ETXTBSY)
    /// EFBIG
    public static let fileTooBig = Errno(rawValue: EFBIG)
    /// ENOSPC
    public static let noSpace = Errno(rawValue: ENOSPC)
    /// EROFS
    public static let readOnly = Errno(rawValue: EROFS)
    /// EMLINK
    public static let tooManyLinks = Errno(rawValue: EMLINK)
    /// ERANGE: a value does not fit into the caller's buffer.
    public static let range = Errno(rawValue: ERANGE)
    /// ENAMETOOLONG
    public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
    /// ENOSYS: the kernel stops asking for most operations that answer it.
    public static let noSystemCall = Errno(rawValue: ENOSYS)
    /// ENOTEMPTY
    public static let notEmpty = Errno(rawValue: ENOTEMPTY)
    /// ELOOP
    public static let loop = Errno(rawValue: ELOOP)
    /// ENODATA: no such extended attribute.
    public static let noData = Errno(rawValue: ENODATA)
    /// ENODATA under the name that its use with extended attributes has.
    public static let noAttribute = Errno(rawValue: ENODATA)
    /// EILSEQ: bytes that are not UTF-8.
    public static let illegalSequence = Errno(rawValue: EILSEQ)
    /// EOPNOTSUPP, which is ENOTSUP.
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)
    /// ETIMEDOUT
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    /// ENOTCONN: a mount whose server is gone.
    public static let notConnected = Errno(rawValue: ENOTCONN)
    /// ESTALE
    public static let stale = Errno(rawValue: ESTALE)
    /// EDQUOT
    public static let quota = Errno(rawValue: EDQUOT)
}

extension Errno: CustomStringConvertible {
    public var description: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let text = buffer.baseAddress, strerror_r(rawValue, text, buffer.count) == 0 else {
                return "errno \(rawValue)"
            }
            return String(cString: text)
        }
    }
}
